"""Run `uncertain run --checkpoint` as a process, kill it, and compare what is left with a run that
nobody killed.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from console import call, lines
from uncertain.decide.loop.durable.snapshot import take_snapshot
from uncertain.decide.loop.server.server import Server
from uncertain.streams.storage.checkpoint import Checkpoints

LINEAR = ("run", "--model", "linear:arms=3:features=1")
MAIN = (sys.executable, "-c", "from uncertain.cli.main import main; main()")
HORIZON = 50
"""Decisions that wait at a time in what the killed runs read."""


def turns(count: int, seed: int = 0) -> str:
    """Requests and late observations, `2 * count` lines."""
    rng, waiting, found = random.Random(seed), [], []
    for i in range(count):
        found.append({"id": i, "x": [rng.gauss(0, 1)], "t": 1.7e9 + i})
        waiting.append(i)
        if len(waiting) > HORIZON:
            found.append({"id": waiting.pop(rng.randrange(HORIZON)), "y": rng.gauss(0, 1)})
    return lines(*found, *({"id": i, "y": 0.5} for i in waiting))


def plain(out: bytes) -> list[dict[str, Any]]:
    """Replies without what the clock decides."""
    rows = [json.loads(line) for line in out.splitlines()]
    return [{name: value for name, value in row.items() if name != "latency"} for row in rows]


def belief(folder: Path) -> tuple[dict[str, bytes], Any]:
    """What the newest checkpoint of a run knows."""
    point, wrong = Checkpoints(folder / "checkpoints").read_newest()
    assert point is not None
    assert not wrong
    return {name: array.tobytes() for name, array in point.arrays.items()}, point.facts["server"]


def known_of(server: Server) -> tuple[list[bytes], Any]:
    """All that a server knows, comparable."""
    arrays, facts = take_snapshot(server)
    return [array.tobytes() for array in arrays.values()], facts


class Runs:
    """`uncertain run` as processes of its own, with programs kept between them."""

    def __init__(self, folder: Path, *options: object) -> None:
        self.folder, self.kept, self.out = folder, folder / "kept", folder / "out.ndjson"
        self.options = [*LINEAR, *map(str, options)]
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}

    def begin(self, *options: object, **pipes: Any) -> subprocess.Popen[bytes]:
        """Started; appends to the output unless told otherwise."""
        command = [*MAIN, *self.options, "--checkpoint", self.kept]
        with self.out.open("ab") as out:
            given = {"stdout": out, "stderr": subprocess.PIPE, **pipes}
            return subprocess.Popen(
                [*map(str, command), *map(str, options)], env=self.environment, **given
            )

    def finish(self, *options: object) -> str:
        """Run to its end; what it says."""
        process = self.begin("--resume", *options)
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        return err.decode()

    def size(self) -> int:
        """How much was answered: bytes of the output."""
        return self.out.stat().st_size if self.out.exists() else 0

    def kill_at(self, more: int, *options: object) -> bool:
        """Run until so much more is answered, and kill; False where it ended first."""
        size = self.size()
        process = self.begin("--resume", *options, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if self.size() >= size + more:
                process.kill()
                process.wait()
                return process.returncode == -signal.SIGKILL
            time.sleep(0.0005)
        return False

    def killed_often(self, kills: int, size: int, seed: int) -> int:
        """Kill at random moments until `size` is answered; how often that was, `kills` at most."""
        rng, done, left = random.Random(seed), 0, size
        # On a busy machine a kill comes late; the next ones are then closer together, and each is
        # due sooner than an even share would have it, or the last would find nothing to kill.
        while done < kills and self.kill_at(
            rng.randrange(1, max(3 * left // (2 * (kills - done) + 1), 2))
        ):
            done, left = done + 1, size - self.size()
        return done


def asked_for() -> tuple[int, int]:
    """Kills and events of a long test; fewer where the environment says so."""
    kills = int(os.environ.get("UNCERTAIN_KILLS", 200))
    return kills, int(os.environ.get("UNCERTAIN_EVENTS", 100_000))


def compare(runs: Runs, given: str, undisturbed: list[dict[str, Any]] | None = None) -> None:
    """No event without effect, none applied twice, each decision once; the belief bit for bit.

    undisturbed: replies of a run without a checkpoint, if there was one.
    """
    other = call(*LINEAR, *runs.options[3:], "--checkpoint", runs.folder / "other",
                 stdin=given)  # fmt: skip
    assert other.status == 0, other.err
    told_other = plain(other.out.encode())
    assert undisturbed is None or told_other == undisturbed
    found = plain(runs.out.read_bytes())
    asked = Counter(row["id"] for row in found if "action" in row)
    told = Counter(row["id"] for row in found if "nll" in row)
    assert set(asked.values()) == set(told.values()) == {1}
    assert found == told_other
    (arrays, facts), (wanted_arrays, wanted) = belief(runs.kept), belief(runs.folder / "other")
    assert facts == wanted
    assert arrays == wanted_arrays
    assert facts["counts"]["learnt"] == len(told) == facts["counts"]["decided"]
