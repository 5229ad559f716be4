"""Refused lines: kept whole, counted, answered, and without effect on the belief; in every input.

See also: ../test_wrong_use.py for the faults, tests/streams/inputs/test_sockets.py for sockets.
"""

import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import pytest
from console import call, lines
from hypothesis import given
from hypothesis import strategies as st
from rubbish import mutated
from uncertain.streams.formats.record import LineError, Where
from uncertain.streams.inputs.base import QUOTED, Arrival
from uncertain.streams.inputs.rejected import (
    RejectedLines,
    original_bytes,
    read_id,
    rejected_fields,
)

MOVING = ("run", "--model", "drifting:arms=3:features=1")
RUN = ("run", "--model", "linear:arms=3:features=1")
MAIN = (sys.executable, "-c", "from uncertain.cli.main import main; main()")
WRONG = [
    (b'{"id":1,', "not JSON", 1),
    (b'{"id":"\xff"}', "not UTF-8", None),
    (b'{"id":"e","x":[1e300],"t":1}', "too large", "e"),
    (b'{"id":"f","x":[1,2],"t":1}', "wrong value", "f"),
    (b'{"id":"a","x":[1]}', "repeated id", "a"),
    (b'{"id":5,"z":3}', "unknown field", 5),
    (b'{"id":6,"y":NaN}', "not a number", 6),
    (b'{"t":3}', "missing field", None),
    (b'{"id":"\\u00e9\\\\","x":"' + b"\xfe\\xff" + b"y" * 300 + b'"}', "too long", "é\\"),
]


def plain(rows):
    """Replies without what the clock decides."""
    return [{k: v for k, v in row.items() if k != "latency"} for row in rows]


@pytest.mark.parametrize("policy", ["skip", "quarantine"])
def test_refused_lines_change_nothing(tmp_path, policy) -> None:
    good = [
        b'{"id":"a","x":[0.5],"t":100}', b'{"id":"b","x":[-1],"t":101}',
        b'{"id":"a","y":1.5,"t":102}', b'{"id":"b","y":0.25,"t":104}',
        b'{"id":"c","x":[2],"t":109}',
    ]  # fmt: skip
    between = [line for line, _, _ in WRONG]
    # The first says when the stream began, if it may; "a" is waiting when it is repeated.
    mixed = [b'{"id":"z","t":-1e9,"x":[1,2,3]}', good[0], *between[:5], *good[1:3], *between[5:]]
    given = b"\n".join([*mixed, *good[3:]]) + b"\n"
    kept = tmp_path / "kept.ndjson"
    kept.write_text('{"of":"an earlier run"}\n')
    options = ("--on-error", policy, "--quarantine", kept, "--max-line", 250)
    result = call(*MOVING, *options, stdin=given)
    assert result.status == 0, result.err
    answered = [row for row in result.rows if "error" not in row]
    assert plain(answered) == plain(call(*MOVING, stdin=b"\n".join(good)).rows)
    refused = [row for row in result.rows if "error" in row]
    expected = [("wrong value", "z"), *((reason, id) for _, reason, id in WRONG)]
    assert [row["id"] for row in refused] == [id for _, id in expected]
    assert "10 lines refused: 2 wrong value, 1 not JSON, 1 not UTF-8" in result.err
    first, *rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert first == {"of": "an earlier run"}
    if policy == "skip":
        assert not rows
        return
    assert f"kept in {kept}" in result.err
    assert [row["reason"] for row in rows] == [reason for reason, _ in expected]
    for one in rows:
        assert original_bytes(one) == given[one["offset"] : one["offset"] + one["length"]]
        assert given[: one["offset"]].count(b"\n") + 1 == one["line"]
        assert one["source"] == "<stdin>"
        assert one["problem"].startswith(f"<stdin>:{one['line']}: ")
        assert time.time() - one["t"] < 3600


def test_stop_is_what_it_was() -> None:
    result = call(*RUN, stdin=lines({"id": 1, "x": [1]}) + "rubbish\n" + lines({"id": 2}))
    assert result.status == 2
    assert len(result.rows) == 1
    assert "error: <stdin>:2: not JSON" in result.err


def test_the_end_may_be_cut_off(tmp_path) -> None:
    log = tmp_path / "log.ndjson"
    log.write_text(lines({"id": 1, "x": [1]}) + '{"id":2,"x":[')
    result = call(*RUN, log, "--on-error", "skip")
    assert "1 lines refused: 1 cut off" in result.err
    assert [row["id"] for row in result.rows] == [1, 2]


def test_a_file_that_cannot_be_written(tmp_path) -> None:
    absent = tmp_path / "absent" / "refused.ndjson"
    result = call(*RUN, "--on-error", "quarantine", "--quarantine", absent)
    assert result.status == 2
    assert "name another --quarantine" in result.err
    # A disk that is full later stops nobody, and is not kept quiet either.
    result = call(*RUN, "--on-error", "quarantine", "--quarantine", "/dev/full", stdin="x\ny\n")
    assert result.status == 0
    assert "2 of them not kept in /dev/full: No space left on device" in result.err
    assert len(result.rows) == 2


def arrival(line: bytes, length: int | None = None) -> Arrival:
    size = len(line) if length is None else length
    nobody: Any = None
    return Arrival(Where("log", 3), 7, line, size, True, 0, nobody)


@given(st.binary(max_size=60))
def test_what_is_kept_can_be_had_back(line: bytes) -> None:
    kept = json.loads(json.dumps(rejected_fields(arrival(line), LineError("why"), 0.0)))
    assert original_bytes(kept) == line
    assert ("escaped" in kept) == (line.decode("utf-8", "replace").encode() != line)
    read_id(line)


def test_long_lines_are_cut_where_it_is_said() -> None:
    kept = rejected_fields(arrival(b"\xc3\xa9" * QUOTED, 10**8), LineError("why", "too long"), 0.0)
    assert kept["length"] == 10**8
    assert len(original_bytes(kept)) == QUOTED
    assert RejectedLines().summary() == []


def test_an_id_is_the_line_s_own() -> None:
    for line, id in (
        (b'{"x":3,"id":"a","y":nan}', "a"),
        (b' {"id" : -12 , "x":', -12),
        (b'{"actions":[{"id":"b"}],"id":"c","y":nan}', None),
        (b'{"x":{"id":"b"},"y":nan}', None),
        (b'{"actions":[{"id":"b"}],"id":"c","y":"n"}', "c"),
        (b'{"id":"\\ud800","x":nan}', None),
        (b'{"id":"a\\"b",', 'a"b'),
        (b'{"id":1.5}', None),
        (b'{"id":"a","z":' + b"[" * 50_000, "a"),
        (b"\x00\xff", None),
    ):
        assert read_id(line) == id, line


LOG = (
    {"id": 1, "t": 2.5, "x": [1.0]}, {"id": 1, "y": -0.5}, {"id": "b", "x": [-2e3], "action": 1},
    {"id": "b", "y": 2}, {"id": 3, "x": [0.5], "action": 2, "propensity": 0.5, "y": 1, "weight": 2},
    {"id": 4, "x": [1], "actions": [0, {"id": 2, "cost": 2.5}], "deadline": 1e-3},
)  # fmt: skip


def survives(count: int, seed: int = 0) -> str:
    """Runs through mutations of a good log, each line answered; what standard error said."""
    chance, given = random.Random(seed), bytearray()
    good = [json.dumps(line).encode() + b"\n" for line in LOG]
    for _ in range(count):
        given += mutated(chance, chance.choice(good))
    given += b"\n" + lines({"id": "last", "x": [1]}).encode()
    result = call(*RUN, "--on-error", "skip", "--max-line", 200, stdin=bytes(given))
    assert result.status == 0, result.err
    there = sum(bool(line.strip()) for line in given.split(b"\n"))
    assert len(result.rows) == there
    assert all(map(math.isfinite, result.rows[-1]["scores"]))
    return result.err


def test_rubbish_is_survived() -> None:
    assert "lines refused" in survives(2000)


@pytest.mark.soak
def test_a_million_lines_of_rubbish_are_survived() -> None:
    for seed in range(10):
        print(survives(100_000, seed))


@pytest.fixture
def started(tmp_path):
    """Starts `uncertain run` as a process of its own; ended, if need be, after the test."""
    processes = []

    def start(*options: object) -> subprocess.Popen[str]:
        words = [*MAIN, *RUN, "--no-cache", *(str(option) for option in options)]
        made = subprocess.Popen(
            words, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(made)
        return made

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def said(process: subprocess.Popen[str], words: str) -> str:
    """The line of its standard error with these words, once it is there."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line.strip()
    raise AssertionError(f"ended without: {words}")


def test_one_client_asks_and_another_observes(started, tmp_path) -> None:
    """The real thing: a process, two clients, a wrong line, and a signal to end.

    With a checkpoint, which watches for signals too.
    """
    process = started("tcp:127.0.0.1:0", "--on-error", "quarantine", "--checkpoint", "kept")
    host, port = said(process, "listening at").rpartition("tcp:")[2].split(":")
    said(process, "ready after")
    place = (host, int(port))
    # The files are closed too: what a failure leaves open would be found in a later test.
    with (
        socket.create_connection(place, 20) as one,
        socket.create_connection(place, 20) as two,
        one.makefile("rwb", 0) as asking,
        two.makefile("rwb", 0) as watching,
    ):

        def ask(file, text: bytes):
            file.write(text + b"\n")
            return json.loads(file.readline())

        assert ask(asking, b'{"id":"a","x":[1]}')["action"] in (0, 1, 2)
        assert ask(watching, b'{"id":"\xff"}')["error"].startswith("tcp:127.0.0.1:")
        assert ask(watching, b'{"id":"a","y":2}')["nll"] is not None
        assert ask(asking, b'{"id":"b","y":2}')["nll"] is None
        process.send_signal(signal.SIGTERM)
        # It says good-bye: no reset, nothing half written.
        assert asking.read() == watching.read() == b""
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "1 decisions, 1 events learnt" in err
    assert "1 lines refused: 1 not UTF-8; kept in refused.ndjson" in err
    assert "2 clients came" in err
    kept = json.loads((tmp_path / "refused.ndjson").read_text())
    assert original_bytes(kept) == b'{"id":"\xff"}'


def test_a_followed_file_and_a_clean_end(started, tmp_path) -> None:
    log = tmp_path / "log.ndjson"
    log.write_text(lines({"id": 1, "x": [1]}) + '{"id":1,')
    process = started(log, "--follow", "--on-error", "skip")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["action"] in (0, 1, 2)
    with log.open("a") as file:
        file.write('"y":1}\nrubbish\n')
    assert json.loads(process.stdout.readline())["nll"] is not None
    assert "not JSON" in json.loads(process.stdout.readline())["error"]
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "1 decisions, 1 events learnt" in err


def test_what_inputs_refuse(tmp_path) -> None:
    for options, words in (
        (("tcp:0.0.0.0:0",), "--allow-remote"),
        (("tcp:7000",), "no address"),
        (("unix:x", "--follow"), "leave it out"),
        (("--follow",), "standard input"),
        ((tmp_path, "--follow"), "no plain file"),
        (("--on-error", "ignore"), "--on-error"),
        (("--max-line", "0"), "--max-line"),
        (("--stalled", "soon"), "write 5ms"),
    ):
        result = call(*RUN, *options)
        assert (result.status, len(result.errors)) == (2, 1), result.err
        assert words in result.err
