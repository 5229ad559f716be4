"""Many streams killed between spills: each goes on from where its own lines had brought it.

See also: tests/cli/live/test_keyed.py for killing a real process (-m soak).
"""

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from many_streams import LINEAR, said, turns
from uncertain.cli.live.run import build_server
from uncertain.decide.loop.durable.durable import CheckpointInterval, DurableServer
from uncertain.decide.loop.durable.recovery import SPILLED
from uncertain.streams.storage.spill import Spill
from uncertain.streams.storage.wal import NEVER

LINES, KILLS = 160, 8


def begun(folder: Path, streams: int) -> DurableServer:
    """What `uncertain run --resume --checkpoint` begins with."""
    store = Spill(folder / SPILLED)
    server = build_server(replace(LINEAR, streams=streams), store)
    kept = DurableServer(
        server, str(folder), {"of": "test"}, CheckpointInterval(lines=23), NEVER, True
    )
    kept.resend(lambda reply: None) if kept.unsent else None
    return kept


def kill(kept: DurableServer, rng: random.Random) -> None:
    """The process is gone, and with it half of what was spilled since the last checkpoint."""
    many = kept.server.keyed
    assert many is not None
    many.store.settle()
    for path in list(many.store._paths()):
        if int(path[-16:]) > max(many.checkpoints, default=0) and rng.random() < 0.5:
            (many.store.folder / path).unlink()
    os.close(kept._log._file)
    kept._unlock()


def played(folder: Path, seed: int) -> tuple[list[dict[str, Any]], DurableServer]:
    """Replies to all lines, the process killed and begun again at random moments."""
    rng, records = random.Random(seed), turns(7, LINES)
    moments = set(rng.sample(range(1, LINES), KILLS))
    kept, found = begun(folder, 3), []
    while kept.number < LINES:
        if kept.number in moments:
            moments.remove(kept.number)
            kill(kept, rng)
            # With other room than before, now and then.
            kept = begun(folder, rng.choice((2, 3, 5)))
            assert kept.differing == 0
        reply = kept.answer(records[kept.number])
        assert reply is not None
        clockless = ((name, x) for name, x in reply.items() if name not in ("latency", "user"))
        found.append(dict(clockless))
        kept.checkpoint_if_due()
    return found, kept


@pytest.fixture(scope="module")
def undisturbed() -> list[dict[str, Any]]:
    """Replies of a run that had room for all, kept nothing and was not killed."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        server = build_server(replace(LINEAR, streams=7), Spill(Path(folder)))
        return said(server, turns(7, LINES))


def test_killed_at_random_moments_nothing_is_lost(tmp_path: Path, undisturbed) -> None:
    found, kept = played(tmp_path, 1)
    assert found == undisturbed
    many = kept.server.keyed
    assert many is not None
    assert many.counts.known == 7
    kept.close()
    # Versions that nobody needs have gone.
    held = many.store.measure()
    assert held.versions <= 4 * held.streams


def test_versions_of_later_lines_are_not_looked_at(
    tmp_path: Path, undisturbed, monkeypatch
) -> None:
    """Were the newest version of a stream read, it would learn lines twice."""
    real = Spill.versions
    monkeypatch.setattr(Spill, "versions", lambda store, name, before: real(store, name, 10**12))
    with pytest.raises(AssertionError):
        assert played(tmp_path, 1)[0] == undisturbed
