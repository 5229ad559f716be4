"""`uncertain run --key-by`: lines and refusals, killed and resumed, shown by inspect and metrics.

See also: tests/decide/loop/server/test_keyed_streams.py for the independence of streams.
"""

import json
import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from console import call, lines
from killing import LINEAR, Runs, asked_for, plain
from prometheus_client import CollectorRegistry, generate_latest
from uncertain.cli.commands.run import RunOptions
from uncertain.cli.live.metrics import Figures
from uncertain.cli.live.run import build_server
from uncertain.cli.live.status import Watch
from uncertain.streams.formats.keyed import build_decoder
from uncertain.streams.formats.record import Where
from uncertain.streams.inputs.rejected import RejectedLines
from uncertain.streams.storage.checkpoint import Checkpoints
from uncertain.streams.storage.log_segments import first_line_of, segment_paths
from uncertain.streams.storage.spill import Spill

pytestmark = pytest.mark.live

KEYED = (*LINEAR, "--key-by", "user")


def turns(count: int, streams: int = 9, seed: int = 0) -> str:
    """A request and its observation a turn; ids come again in other streams."""
    rng, found = random.Random(seed), []
    for i in range(count):
        whose = {"user": f"u{rng.randrange(streams)}", "id": i // 2}
        found += [{**whose, "id": i, "x": [rng.gauss(0, 1)], "t": 1.7e9 + i},
                  {**whose, "id": i, "y": rng.gauss(0, 1)}]  # fmt: skip
    return lines(*found)


def known(folder: Path) -> dict[Any, Any]:
    """Every stream at the newest checkpoint, wherever it is: facts, and the bytes of its belief."""
    point, _ = Checkpoints(folder / "checkpoints").read_newest()
    assert point is not None
    states = [x for name, x in point.arrays.items() if name.startswith("state")]
    streams = {}
    store, newest = Spill(folder / "streams"), {}
    for path in store._paths():
        name, _, number = path.replace("/", "").partition("-")
        newest[name] = max(newest.get(name, 0), int(number))
    for name, number in newest.items():
        key, facts, _, rows = msgspec.msgpack.decode(store.read_newest(name, [number]))
        streams[key] = (facts, rows)
    for place, (key, _, facts) in enumerate(point.facts["server"]["streams"]):
        streams[key] = (facts, [state[place].tobytes() for state in states])
    return streams


def test_each_stream_has_its_own_ids_and_says_whose_it_is() -> None:
    given = lines(*({"user": user, "id": 1, "x": [1]} for user in ("ann", 7)),
                  {"user": "ann", "id": 1, "y": 1}, {"user": 7, "id": 2, "y": 1})  # fmt: skip
    result = call(*KEYED, stdin=given)
    assert [(row["user"], row["id"]) for row in result.rows] == [
        ("ann", 1), (7, 1), ("ann", 1), (7, 2)
    ]  # fmt: skip
    assert [row.get("nll") is None for row in result.rows[2:]] == [False, True]
    assert result.rows[0]["scores"] != result.rows[1]["scores"]
    assert "2 of 2 streams in memory" in result.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"id": 1, "x": [1]}, "<stdin>:1: user: missing; every line needs it"),
        ({"user": "", "id": 1}, "user: expected str of length >= 1"),
        ({"user": "a" * 201, "id": 1}, "user: expected str of length <= 200"),
        ({"user": 2**63, "id": 1}, "user: expected int <= 9223372036854775807"),
        ({"user": 1.5, "id": 1}, "user: expected int | str, got float"),
        ({"user": True, "id": 1}, "user: expected int | str, got bool"),
        ({"user": None, "id": 1}, "user: expected int | str, got null"),
        ({"users": "a", "id": 1}, '<stdin>:1: no field called "users"; did you mean "user"?'),
    ],
)
def test_a_line_without_a_key_is_refused(line: dict[str, Any], said: str) -> None:
    result = call(*KEYED, stdin=lines(line))
    assert result.status == 2
    assert result.out == ""
    assert said in result.errors[-1]


def test_a_refused_line_is_answered_with_its_key() -> None:
    given = lines({"user": "ann", "id": 1, "x": "no"}, {"user": [], "id": 2}, {"id": 3}) + "no\n"
    result = call(*KEYED, "--on-error", "skip", stdin=given)
    assert [(row["user"], row["id"]) for row in result.rows] == [
        ("ann", 1), (None, 2), (None, 3), (None, None)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--streams", 5), "--streams says how many are in memory: name the field"),
        (("--key-by", "x"), "--key-by x: lines have a field of this name already"),
        (("--key-by", "seed"), "--key-by seed: replies have a field of this name already"),
        (("--key-by", ""), "a field has a name of 1 to 200 characters"),
        (("--key-by", "user", "--think", 3), "--think does not go with --key-by"),
        (("--key-by", "u", "--rule", "eig", "--until-gain", 1),
         "--until-gain does not go with --key-by"),
        (("--key-by", "u", "--claim", "60s"), "--claim does not go with --key-by"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together(options: tuple[object, ...], said: str) -> None:
    result = call(*LINEAR, *options)
    assert result.status == 2
    assert said in result.err
    assert len(result.errors) == 1


def test_resumed_it_goes_on_with_every_stream(tmp_path: Path) -> None:
    given = turns(60).splitlines(True)
    ask = (*KEYED, "--streams", 3, "--checkpoint", tmp_path / "kept", "--every", 25)
    first = call(*ask, stdin="".join(given[:70]))
    # With other room now; a line that comes again is answered as it was, with its key.
    second = call(*ask, "--streams", 5, "--resume", stdin="".join(given[60:]))
    found = plain((first.out + second.out).encode())
    whole = plain(call(*KEYED, stdin="".join(given)).out.encode())
    assert found[:70] == whole[:70]
    assert found[70:80] == whole[60:70]
    assert found[80:] == whole[70:]
    other = call(*LINEAR, "--key-by", "client", "--checkpoint", tmp_path / "kept", "--resume")
    assert other.status == 2
    assert "key_by user, here client" in other.err


@pytest.mark.statistical
def test_within_a_deadline_streams_decide_alike() -> None:
    given = turns(12, streams=3)
    whole, timed = (
        plain(call(*KEYED, "--posterior", "point", *more, stdin=given).out.encode())
        for more in ((), ("--deadline", "60s", "--streams", 2))
    )
    assert {row["rung"]["number"] for row in timed if "rung" in row} == {0}
    clock = ("rung", "fallback", "deadline_met", "refine")
    assert [{n: x for n, x in row.items() if n not in clock} for row in timed] == whole


def test_inspect_shows_streams(tmp_path: Path) -> None:
    call(*KEYED, "--streams", 3, "--checkpoint", tmp_path, stdin=turns(40))
    result = call("inspect", tmp_path)
    assert result.status == 0
    point = [row for row in result.rows if row["kind"] == "checkpoint"][-1]
    assert (point["streams"]["memory"], point["streams"]["known"]) == (3, 9)
    assert point["counts"]["learnt"] == 40
    held = result.rows[-1]
    assert (held["kind"], held["streams"]) == ("streams", 9)
    assert held["bytes"] > 0
    assert "3 of 9" in call("inspect", tmp_path, terminal=True).out


def test_status_and_metrics_count_streams(tmp_path: Path) -> None:
    options = RunOptions(model="linear:arms=3:features=1", key_by="user", streams=3)
    server, decode = build_server(options, Spill(tmp_path)), build_decoder("user")
    for line in turns(40).encode().splitlines():
        server.answer(decode(line, Where("test", 1)))
    source: Any = SimpleNamespace()
    watch = Watch(server, source, RejectedLines(), 1.0, print)
    assert server.keyed is not None
    counts = server.keyed.counts
    assert f"3 of 9 streams in memory, {counts.spilled} times spilled" in watch.line(1.0)
    registry = CollectorRegistry()
    registry.register(Figures(watch))  # type: ignore[arg-type]
    shown = generate_latest(registry).decode()
    assert "uncertain_streams 9.0" in shown
    assert "uncertain_streams_in_memory 3.0" in shown
    assert f"uncertain_streams_loaded_total {counts.loaded}.0" in shown


@pytest.mark.soak
def test_killed_between_spills_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    """A tenth of the kills; five events a stream, and one stream in four is in memory."""
    kills, events = (number // share for number, share in zip(asked_for(), (10, 1), strict=True))
    streams = events // 20
    given = turns(events, streams=4 * streams)
    file = tmp_path / "in.ndjson"
    file.write_text(given)
    options = ("--key-by", "user", "--streams", streams, "--every", events // 6)
    runs = Runs(tmp_path, file, *options)
    whole = call(*LINEAR, *options, "--checkpoint", tmp_path / "other", stdin=given)
    assert whole.status == 0, whole.err
    done = runs.killed_often(kills, len(whole.out), 5)
    runs.finish()
    found = plain(runs.out.read_bytes())
    assert found == plain(whole.out.encode())
    assert known(runs.kept) == known(tmp_path / "other")
    # Chance leaves out e^-5 of them.
    count = len(known(runs.kept))
    assert 0.98 * 4 * streams < count <= 4 * streams
    print(f"\n{done} kills over {events} events of {count} streams, {streams} of them in memory")
    assert done > kills / 2


def test_lost_lines_are_forgotten_by_what_was_spilled(tmp_path: Path) -> None:
    """The machine lost power: a spilled stream may have learnt what the log has lost."""
    given = turns(60).splitlines(True)
    ask = (*KEYED, "--streams", 2, "--checkpoint", tmp_path, "--every", "1h")
    assert call(*ask, stdin="".join(given[:40])).status == 0
    call(*ask, "--resume", stdin="".join(given[40:80]))
    # As it was after 40 lines, but for what was spilled since.
    points = Checkpoints(tmp_path / "checkpoints")
    for number in points.numbers()[1:]:
        if number > 40:
            (points.path(number) / "manifest.ocdbt").unlink()
    after, *later = [f for f in segment_paths(tmp_path / "log") if first_line_of(f) > 40]
    os.truncate(after, 0)
    for file in later:
        file.unlink()
    assert any(int(path[-16:]) > 40 for path in Spill(tmp_path / "streams")._paths())
    again = call(*ask, "--resume", stdin="".join(given[40:]))
    whole = call(*KEYED, stdin="".join(given))
    told = plain(again.out.encode())
    assert [json.dumps(row) for row in told if not row.get("repeated")][-80:] == [
        json.dumps(row) for row in plain(whole.out.encode())[40:]
    ]
