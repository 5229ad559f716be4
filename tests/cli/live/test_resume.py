"""`uncertain run --checkpoint`: killed, resumed, asked to end, refused; and `uncertain inspect`.

See also: tests/decide/loop/durable/test_durable.py for a kill at every step.
"""

import errno
import gzip
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from console import Result, call, lines
from killing import LINEAR, Runs, asked_for, belief, compare, plain, turns
from uncertain.streams.storage.checkpoint import Checkpoints

pytestmark = pytest.mark.live


def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    given = turns(400)
    file = tmp_path / "in.ndjson"
    file.write_text(given)
    runs = Runs(tmp_path, file, "--every", 60, "--fsync", "always")
    rng = random.Random(1)
    killed = [runs.kill_at(rng.randrange(1, 40_000)) for _ in range(3)]
    assert sum(killed) >= 2
    runs.finish()
    undisturbed = plain(call(*LINEAR, stdin=given).out.encode())
    runs.options = [*LINEAR, "--every", "60"]
    compare(runs, given, undisturbed)


@pytest.mark.soak
def test_two_hundred_kills_over_a_hundred_thousand_events(tmp_path: Path) -> None:
    kills, events = asked_for()
    given = turns(events)
    file = tmp_path / "in.ndjson"
    file.write_text(given)
    out = call(*LINEAR, stdin=given).out.encode()
    undisturbed, size = plain(out), len(out)
    runs = Runs(tmp_path, file, "--every", "1s")
    done = runs.killed_often(kills, size, 2)
    said = runs.finish()
    runs.options = [*LINEAR, "--every", "1s"]
    compare(runs, given, undisturbed)
    print(f"\n{done} kills over {events} events: none lost, none twice, belief the same; {said}")
    assert done > 0.9 * kills


def test_killed_between_pipes_it_goes_on_with_what_comes(tmp_path: Path) -> None:
    """A feeder that is told nothing begins again from the start; all is counted once."""
    given = turns(30)
    runs = Runs(tmp_path, "--every", 10)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = runs.begin(**pipes)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(given.splitlines(True)[:25]).encode())
    process.stdin.flush()
    heard = [process.stdout.readline() for _ in range(25)]
    process.kill()
    process.communicate()
    process = runs.begin("--resume", **pipes)
    out, _ = process.communicate(given.encode(), timeout=60)
    undisturbed = plain(call(*LINEAR, stdin=given).out.encode())
    assert plain(b"".join(heard)) == undisturbed[:25]
    rows = plain(out)
    # The last reply may not have been heard; then those to lines that came again.
    assert rows[0] == undisturbed[24]
    assert {row["id"] for row in rows[1:26]} == {row["id"] for row in undisturbed[:25]}
    assert rows[26:] == undisturbed[25:]
    assert belief(runs.kept)[1]["counts"]["learnt"] == 30


def test_a_client_of_a_killed_run_asks_again(tmp_path: Path) -> None:
    """The reply to a line that may or may not have been taken in is the same as it was."""
    given = turns(12).encode().splitlines(True)
    place = tmp_path / "socket"
    runs = Runs(tmp_path, f"unix:{place}")
    heard: list[bytes] = []

    def ask(lines: list[bytes]) -> list[bytes]:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            for attempt in range(600):
                try:
                    client.connect(str(place))
                    break
                except OSError:
                    # It is still compiling.
                    assert attempt < 599
                    time.sleep(0.1)
            with client.makefile("rwb") as file:
                found = []
                for line in lines:
                    file.write(line)
                    file.flush()
                    found.append(file.readline())
                return found

    for first, last in ((0, 9), (8, len(given))):
        process = runs.begin("--resume", stderr=subprocess.DEVNULL)
        replies = ask(given[first:last])
        process.kill()
        process.wait()
        assert heard[first:] in ([], replies[:1])
        heard[first:] = replies
    undisturbed = plain(call(*LINEAR, stdin=b"".join(given)).out.encode())
    assert plain(b"".join(heard)) == undisturbed


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch) -> None:
    given = turns(20)
    ask = (*LINEAR, "--checkpoint", tmp_path, "--every", 7, "--quiet")
    real, left = os.write, [3_000]

    def filling(file: int, data: bytes) -> int:
        if len(data) > left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= len(data)
        return real(file, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", filling)
        first = call(*ask, stdin=given)
    assert first.status == 2
    assert len(first.errors) == 1
    assert "the log cannot be written (No space left on device)" in first.err
    done = len(first.rows)
    assert 3 < done < 30
    second = call(*ask, "--resume", stdin="".join(given.splitlines(True)[done:]))
    undisturbed = call(*LINEAR, stdin=given)
    # What it heard last, and what it sends again, it may hear again: as it was.
    heard = [json.dumps(row) for row in plain((first.out + second.out).encode())]
    assert len(heard) <= len(undisturbed.rows) + 2
    told = [json.dumps(row) for row in plain(undisturbed.out.encode())]
    assert list(dict.fromkeys(heard)) == told
    assert belief(tmp_path)[1]["counts"]["learnt"] == 20


@pytest.mark.parametrize("remounted", [False, True])
@pytest.mark.parametrize("every", [3, 1_000])
def test_a_folder_that_is_moved_ends_the_run(
    tmp_path: Path, monkeypatch, every: int, remounted: bool
) -> None:
    given = turns(20)
    folder, elsewhere = tmp_path / "kept", tmp_path / "elsewhere"
    ask = (*LINEAR, "--checkpoint", folder, "--every", every, "--quiet")
    real, left = os.write, [30]
    meanwhile: list[Result] = []

    def moving(file: int, data: bytes) -> int:
        left[0] -= 1
        if left[0] == 0:
            folder.rename(elsewhere)
            # Nobody else goes on there before this run has ended, nor does it go on in a new one.
            with monkeypatch.context() as usual:
                usual.setattr(os, "write", real)
                meanwhile.append(call(*LINEAR, "--checkpoint", elsewhere, "--resume"))
            if remounted:
                folder.mkdir()
        return real(file, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", moving)
        first = call(*ask, stdin=given)
    assert first.status == 2
    assert f"{folder / 'log'}: was removed, moved or replaced during the run" in first.errors[-1]
    assert [other.status for other in meanwhile] == [2]
    assert f"{elsewhere}: another run writes to it" in meanwhile[0].err
    # Nothing is made anew in its place.
    assert not folder.exists() or not any(folder.iterdir())
    if remounted:
        folder.rmdir()
    done = len(first.rows)
    assert 3 < done < 30
    elsewhere.rename(folder)
    second = call(*ask, "--resume", stdin="".join(given.splitlines(True)[done:]))
    assert second.status == 0
    heard = [json.dumps(row) for row in plain((first.out + second.out).encode())]
    told = [json.dumps(row) for row in plain(call(*LINEAR, stdin=given).out.encode())]
    assert list(dict.fromkeys(heard)) == told
    assert belief(folder)[1]["counts"]["learnt"] == 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_checkpoints(tmp_path: Path, number: signal.Signals) -> None:
    runs = Runs(tmp_path)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = runs.begin(**pipes)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(lines({"id": 1, "x": [1]}, {"id": 1, "y": 2}, {"id": 2, "x": [1]}).encode())
    process.stdin.flush()
    for _ in range(3):
        process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"")
    assert b"asked to end: go on with --resume" in err
    assert Checkpoints(runs.kept / "checkpoints").numbers()[-1] == 3
    assert belief(runs.kept)[1]["counts"]["learnt"] == 1


def test_a_file_is_gone_on_with_where_it_was(tmp_path: Path) -> None:
    given = turns(20).splitlines(True)
    undisturbed = call(*LINEAR, stdin="".join(given))
    file, kept = tmp_path / "in.ndjson", tmp_path / "kept"
    file.write_text("".join(given[:25]))
    ask = (*LINEAR, file, "--checkpoint", kept, "--every", "1h")
    first = call(*ask)
    assert "1 checkpoints in" in first.err
    # Longer now; without --resume nothing there is touched.
    file.write_text("".join(given))
    refused = call(*ask)
    assert (refused.status, refused.out) == (2, "")
    assert "already holds a checkpoint of line 25; go on from it with --resume" in refused.err
    second = call(*ask, "--resume")
    assert plain((first.out + second.out).encode()) == plain(undisturbed.out.encode())
    # Another file of the same name is refused; another name is a new file.
    file.write_text("".join(given[:-1]) + lines({"id": "x", "x": [1]}))
    refused = call(*ask, "--resume")
    assert refused.status == 2
    assert f"in.ndjson:{len(given)}: is not the line that" in refused.err
    file.rename(tmp_path / "new.ndjson")
    third = call(*LINEAR, tmp_path / "new.ndjson", "--checkpoint", kept, "--resume")
    assert third.rows[-1]["step"] == 20
    assert f"{len(given) - 1} lines repeated: taken in once" in third.err


def test_a_gzipped_file_is_gone_on_with(tmp_path: Path) -> None:
    given = turns(20).splitlines(True)
    file = tmp_path / "in.ndjson.gz"
    ask = (*LINEAR, file, "--checkpoint", tmp_path / "kept", "--resume")
    found = []
    for count in (15, 25, len(given)):
        # Blank lines count where lines are counted.
        file.write_bytes(gzip.compress(("\n\n" + "".join(given[:count])).encode()))
        found += call(*ask).rows
    rows = [{name: x for name, x in row.items() if name != "latency"} for row in found]
    told = plain(call(*LINEAR, stdin="".join(given)).out.encode())
    # The last reply of a run that came to its end is not sent again, even where no file takes it.
    assert rows == told


def test_a_wrong_line_is_read_again_once_it_is_put_right(tmp_path: Path) -> None:
    file, kept = tmp_path / "in.ndjson", tmp_path / "kept"
    good = [{"id": 1, "x": [1]}, {"id": 1, "y": 1}, {"id": 2, "x": [1]}]
    ask = (*LINEAR, file, "--checkpoint", kept)
    for wrong in ("not JSON\n", lines({"id": 9, "x": [1, 2, 3]})):
        file.write_text(lines(*good[:2]) + wrong)
        assert call(*ask, "--resume").status == 2
    file.write_text(lines(*good))
    result = call(*ask, "--resume")
    assert [row["id"] for row in result.rows] == [2]
    assert result.rows[-1]["step"] == 1


def test_what_stopped_stays_stopped(tmp_path: Path) -> None:
    ask = (*LINEAR, "--checkpoint", tmp_path, "--budget")
    given = lines(*({"id": i, "x": [1]} for i in range(5)))
    assert call(*ask, 2, stdin=given).rows[-1]["stop"]
    assert call(*ask, 2, "--resume", stdin=given).rows == []
    # Unless there is more to spend.
    rows = call(*ask, 3, "--resume", stdin=given).rows
    assert [row["id"] for row in rows if not row.get("repeated")][-2:] == [3, 4]
    assert [row.get("stop", False) for row in rows[-2:]] == [False, True]


def test_another_posterior_is_refused_naming_both(tmp_path: Path) -> None:
    ask = (*LINEAR, "--checkpoint", tmp_path)
    assert call(*ask).status == 0
    result = call(*ask, "--resume", "--posterior", "point", "--seed", 3)
    assert result.status == 2
    assert "posterior laplace, here point, seed 0, here 3; resume it as it was" in result.err
    assert len(result.errors) == 2


def test_another_half_life_is_refused_naming_both(tmp_path: Path) -> None:
    ask = (*LINEAR, "--half-life", "20s", "--checkpoint", tmp_path)
    given = lines({"id": 1, "t": 0, "x": [1], "action": 0, "y": 1})
    assert call(*ask, stdin=given).status == 0
    # One of inf is none at all.
    for other, here in (("30s", "30.0"), ("inf", "None")):
        result = call(*LINEAR, "--checkpoint", tmp_path, "--resume", "--half-life", other)
        assert result.status == 2
        assert f"half_life 20.0, here {here}; resume it as it was" in result.err
    (row, *_) = call("inspect", tmp_path).rows
    assert row["identity"]["half_life"] == 20
    later = lines({"id": 2, "t": 20, "x": [1], "action": 0, "y": 1})
    resumed = call(*ask, "--resume", stdin=later)
    undisturbed = call(*LINEAR, "--half-life", "20s", stdin=given + later)
    assert plain(resumed.out.encode())[-1] == plain(undisturbed.out.encode())[-1]


def test_wrong_options_are_one_line(tmp_path: Path) -> None:
    assert "needs a folder" in call(*LINEAR, "--resume").err
    assert "add --resume" in call(*LINEAR, "--checkpoint", tmp_path / "kept", "--salvage").err
    for every in ("0", "-1", "x", "10 parsecs"):
        result = call(*LINEAR, "--checkpoint", tmp_path / "kept", f"--every={every}")
        assert result.status == 2
        assert "neither a number of lines nor a time" in result.err
    (tmp_path / "file").write_text("")
    result = call(*LINEAR, "--checkpoint", tmp_path / "file")
    assert result.status == 2
    assert "cannot be written (File exists)" in result.err


def test_inspect(tmp_path: Path) -> None:
    result = call("inspect", tmp_path)
    assert result.status == 2
    assert "holds no checkpoints" in result.err
    call(*LINEAR, "--checkpoint", tmp_path, "--every", 10, stdin=turns(20))
    result = call("inspect", tmp_path)
    assert (result.status, result.err) == (0, "")
    points = [row for row in result.rows if row["kind"] == "checkpoint"]
    segments = [row for row in result.rows if row["kind"] == "segment"]
    assert [row["line"] for row in points] == [20, 30, 40]
    last = points[-1]
    assert (last["step"], last["waiting"], last["damage"]) == (20, 0, None)
    assert last["input"] == {"file": None, "line": 40, "bytes": len(turns(20))}
    assert last["identity"]["model"] == "linear:arms=3:features=1"
    assert 0 <= last["age"] < 600
    assert [(row["line"], row["lines"], row["replies"]) for row in segments] == [
        (21, 10, 10), (31, 10, 10), (41, 0, 0)
    ]  # fmt: skip
    assert points[0]["waiting"] == 20
    # Half of the newest checkpoint is gone, and an early segment; the tail of the log is torn.
    for file in (Path(last["path"]) / "d").iterdir():
        file.write_bytes(file.read_bytes()[:-30])
    with Path(segments[0]["path"]).open("ab") as file:
        file.write(b"half")
    with Path(segments[-1]["path"]).open("ab") as file:
        file.write(b"half")
    result = call("inspect", tmp_path)
    assert result.status == 1
    assert [bool(row["damage"]) for row in result.rows] == [False, False, True, True, False, False]
    assert result.rows[-1]["torn"] == 4
    assert len(result.errors) == 2
    shown = call("inspect", tmp_path, terminal=True)
    assert shown.status == 1
    assert "model=linear:arms=3:features=1" in " ".join(shown.out.split())
    assert shown.out.count("damaged") == 2


def test_a_flipped_bit_in_the_log_loses_nothing_in_silence(tmp_path: Path) -> None:
    ask = (*LINEAR, "--checkpoint", tmp_path, "--every", 10)
    call(*ask, stdin=turns(20))
    points = {row["line"]: row["path"] for row in call("inspect", tmp_path).rows[:3]}
    # As a kill leaves it: lines in the log that are in no checkpoint.
    shutil.rmtree(points[40])
    *_, newest, empty = sorted(tmp_path.rglob("*.log"))
    empty.unlink()
    content = newest.read_bytes()
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 1
    newest.write_bytes(damaged)
    result = call("inspect", tmp_path)
    assert result.status == 1
    assert result.rows[-1]["damage"].startswith("damaged at byte ")
    result = call(*ask, "--resume")
    assert result.status == 2
    assert f"{newest}: damaged at bytes " in result.errors[-1]
    assert "--salvage, which keeps all up to line 3" in result.errors[-1]
    assert newest.read_bytes() == damaged
    # With its lines set aside it goes on, and says so though it is asked to be quiet.
    copy = shutil.copytree(tmp_path, tmp_path.with_name("copy"))
    again = (*LINEAR, "--checkpoint", copy, "--every", 10, "--resume")
    salvaged = call(*again, "--salvage", "--quiet")
    assert salvaged.status == 0
    assert [line.count("dropped lines 3") for line in salvaged.errors] == [1]
    assert f"kept aside as {newest.name}.damaged" in salvaged.err
    assert (copy / "log" / f"{newest.name}.damaged").read_bytes() == damaged
    assert call(*again).status == 0
    newest.write_bytes(content)
    result = call(*ask, "--resume")
    assert result.status == 0
    assert "10 lines replayed from the log" in result.err


def test_many_arrays_do_not_grow(tmp_path: Path) -> None:
    """What is kept stays as small as what is known: old checkpoints and segments go."""
    call(*LINEAR, "--checkpoint", tmp_path, "--every", 20, "--quiet", stdin=turns(200))
    sizes = [sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file())]
    call(*LINEAR, "--checkpoint", tmp_path, "--every", 20, "--resume", stdin=turns(400))
    sizes.append(sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file()))
    # Remembered ids take 8 bytes each, three times over.
    assert sizes[1] < sizes[0] + 3 * 8 * 400 + 5_000
    assert np.size(list(tmp_path.rglob("*.log"))) == 3
