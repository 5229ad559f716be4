"""The log: what was appended comes back whole, a torn tail is cut off, and a full disk is one line.

See also: tests/decide/loop/durable/test_durable.py for the meaning of records.
"""

import errno
import os
import shutil
import threading
import zlib
from pathlib import Path

import pytest
from uncertain.posteriors.errors import UsageError
from uncertain.streams.storage import wal
from uncertain.streams.storage.log_faults import find_fault, set_aside, tail_fault
from uncertain.streams.storage.log_segments import (
    FRAME,
    HEAD,
    HEADER_SIZE,
    LINE,
    MAGIC,
    OLD_MAGIC,
    REPLY,
    LogEntry,
    first_line_of,
    read_entries,
    scan_segment,
    segment_path,
    segment_paths,
)
from uncertain.streams.storage.wal import FSYNC, WriteAheadLog

GIVEN = [
    LogEntry(kind, number, os.urandom(size))
    for number, size in enumerate((0, 1, 7, 300, 70_000), 1)
    for kind in (LINE, REPLY)
]


def written(folder: Path, given: list[LogEntry] = GIVEN) -> Path:
    """A closed log of one segment, and its file."""
    log = WriteAheadLog(folder, wal.NEVER)
    for entry in given:
        log.append(*entry)
    log.close()
    (file,) = segment_paths(folder)
    return file


@pytest.mark.parametrize("fsync", FSYNC)
def test_what_is_appended_comes_back(tmp_path: Path, fsync: str) -> None:
    log = WriteAheadLog(tmp_path, fsync)
    for entry in GIVEN:
        log.append(*entry)
        log.settle()
        # Whatever fsync is, it is there for whoever looks after the process is killed.
        assert list(read_entries(tmp_path))[-1] == entry
    log.close()
    assert list(read_entries(tmp_path)) == GIVEN
    assert list(read_entries(tmp_path, 3)) == GIVEN[6:]


def test_always_syncs_each_time_and_never_never(tmp_path, monkeypatch) -> None:
    counts = dict.fromkeys(FSYNC, 0)
    real = os.fdatasync
    monkeypatch.setattr(wal, "SECONDS_BETWEEN", 0.01)
    for fsync in FSYNC:
        done = threading.Event()

        def count(file: int, fsync: str = fsync, done: threading.Event = done) -> None:
            counts[fsync] += 1
            done.set()
            real(file)

        monkeypatch.setattr(os, "fdatasync", count)
        log = WriteAheadLog(tmp_path / fsync, fsync)
        for number in range(5):
            log.append(LINE, number, b"x")
            log.settle()
        assert done.wait(10 if fsync != wal.NEVER else 0.1) == (fsync != wal.NEVER)
        log.close()
    assert counts[wal.ALWAYS] == 5 + 1
    assert counts[wal.INTERVAL] >= 1
    assert counts[wal.NEVER] == 0


def test_wherever_it_is_cut_what_is_whole_before_is_kept(tmp_path: Path) -> None:
    small = [entry for entry in GIVEN if len(entry.body) < 1_000]
    content = written(tmp_path / "first", small).read_bytes()
    for size in range(len(content)):
        folder = tmp_path / "cut"
        folder.mkdir(exist_ok=True)
        file = folder / "0000000000000001.log"
        file.write_bytes(content[:size])
        found = list(read_entries(folder))
        assert found == small[: len(found)]
        # What was half there is gone, and the log goes on behind what is whole.
        whole = scan_segment(file).whole
        log = WriteAheadLog(folder, wal.NEVER)
        assert (log.cut_bytes, file.stat().st_size) == (size - whole, max(whole, HEADER_SIZE))
        number = scan_segment(file).line + 1
        log.append(LINE, number, b"next")
        log.close()
        assert list(read_entries(folder)) == [*found, LogEntry(LINE, number, b"next")]


def test_a_flipped_bit_ends_what_is_whole(tmp_path: Path) -> None:
    small = [entry for entry in GIVEN if len(entry.body) < 1_000]
    file = written(tmp_path, small)
    content = file.read_bytes()
    for at in range(len(content)):
        file.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        found = list(read_entries(tmp_path))
        assert found == small[: len(found)]
        assert len(found) < len(small)
    # A machine that lost power may leave zeros.
    file.write_bytes(content + bytes(5_000))
    assert list(read_entries(tmp_path)) == small
    assert scan_segment(file).torn == 5_000


def test_damage_is_refused_and_kept(tmp_path: Path) -> None:
    small = [entry for entry in GIVEN if len(entry.body) < 1_000]
    file = written(tmp_path, small)
    content = file.read_bytes()
    for at in range(len(content)):
        damaged = content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]
        file.write_bytes(damaged)
        # The last record too: it is of full length, so no write was cut short.
        with pytest.raises(UsageError, match=f"{file}: damaged at bytes ") as caught:
            WriteAheadLog(tmp_path, wal.NEVER)
        assert file.read_bytes() == damaged
        assert "--resume --salvage" in str(caught.value)
        # What a salvage keeps is all that is whole before the damage.
        fault = tail_fault(scan_segment(file))
        assert fault is not None
        set_aside(fault)
        aside = file.with_name(f"{file.name}.damaged")
        assert aside.read_bytes() == damaged
        aside.unlink()
        WriteAheadLog(tmp_path, wal.NEVER).close()
        found = list(read_entries(tmp_path))
        assert found == small[: len(found)]
        file.write_bytes(content)


def test_zeros_behind_a_torn_record_are_torn(tmp_path: Path) -> None:
    """A machine that lost power may have extended the file before it wrote the bytes."""
    small = [entry for entry in GIVEN if len(entry.body) < 1_000]
    file = written(tmp_path, small)
    content = file.read_bytes()
    last = len(written(tmp_path / "shorter", small[:-1]).read_bytes())
    for at in range(last, len(content)):
        file.write_bytes(content[:at] + bytes(len(content) - at) + bytes(9 * (at % 3)))
        log = WriteAheadLog(tmp_path, wal.NEVER)
        log.close()
        # Where the record itself ends in zeros it may be whole.
        assert file.read_bytes() in (content[:last], content)


@pytest.mark.parametrize("lost", range(5))
def test_a_hole_in_the_middle_is_refused(tmp_path: Path, lost: int) -> None:
    small = [entry for entry in GIVEN if len(entry.body) < 1_000]
    ends = [len(written(tmp_path / str(n), small[:n]).read_bytes()) for n in range(len(small))]
    file = written(tmp_path, small)
    content = file.read_bytes()
    begin, end = ends[lost], ends[lost + 1]
    for damaged in (
        content[:begin] + bytes(end - begin) + content[end:],
        content[: begin + 1] + content[end:],
        content[: end - 1] + content[end:],
    ):
        file.write_bytes(damaged)
        with pytest.raises(UsageError, match=f"damaged at bytes {begin} to"):
            WriteAheadLog(tmp_path, wal.NEVER)


def test_segments_follow_and_old_ones_go(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path, wal.NEVER)
    for number in range(1, 10):
        log.append(LINE, number, b"line")
        log.append(REPLY, number, b"reply")
        if number % 3 == 0:
            log.rotate(number + 1)
            log.rotate(number + 1)
    assert [first_line_of(file) for file in segment_paths(tmp_path)] == [1, 4, 7, 10]
    assert [entry.number for entry in read_entries(tmp_path, 4)] == [5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
    log.prune(5)
    assert [first_line_of(file) for file in segment_paths(tmp_path)] == [4, 7, 10]
    log.prune(6)
    assert [first_line_of(file) for file in segment_paths(tmp_path)] == [7, 10]
    log.prune(99)
    assert [first_line_of(file) for file in segment_paths(tmp_path)] == [10]
    log.close()


def test_damage_before_later_segments_is_refused(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path, wal.NEVER)
    for number in range(1, 4):
        log.append(LINE, number, b"line")
        log.rotate(number + 1)
    log.close()
    first, *_, last = segment_paths(tmp_path)
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(UsageError, match=f"{first}: damaged at byte {HEADER_SIZE} "):
        list(read_entries(tmp_path))
    # It does not matter to whoever needs only what follows.
    assert [entry.number for entry in read_entries(tmp_path, 1)] == [2, 3]
    assert [entry.number for entry in read_entries(tmp_path, 0, needed=1)] == [2, 3]
    last.write_bytes(b"")
    assert [entry.number for entry in read_entries(tmp_path, 1)] == [2, 3]


@pytest.mark.parametrize("lines", [0, 2])
def test_a_log_of_version_1_goes_on_and_the_next_segment_is_of_version_2(
    tmp_path: Path, lines: int
) -> None:
    given = [LogEntry(kind, n, b"old") for n in range(1, lines + 1) for kind in (LINE, REPLY)]
    payloads = [HEAD.pack(entry.kind, entry.number) + entry.body for entry in given]
    records = [FRAME.pack(len(payload), zlib.crc32(payload)) + payload for payload in payloads]
    file = segment_path(tmp_path, 1)
    file.write_bytes(OLD_MAGIC + b"".join(records) + b"torn")
    log = WriteAheadLog(tmp_path, wal.NEVER)
    assert log.cut_bytes == 4
    log.append(LINE, lines + 1, b"new")
    log.rotate(lines + 2)
    log.append(LINE, lines + 2, b"newer")
    log.close()
    found = [(entry.number, entry.body) for entry in read_entries(tmp_path) if entry.kind == LINE]
    assert found[-2:] == [(lines + 1, b"new"), (lines + 2, b"newer")]
    assert len(found) == lines + 2
    magics = [path.read_bytes()[: len(MAGIC)] for path in segment_paths(tmp_path)]
    assert magics == [OLD_MAGIC if lines else MAGIC, MAGIC]
    assert find_fault(tmp_path, 0, None, None) is None
    # Another segment in the place of the first is found by the second.
    file.write_bytes(OLD_MAGIC + b"".join(records[:-1]))
    fault = find_fault(tmp_path, 0, None, None)
    assert fault is not None


@pytest.mark.parametrize("change", ["removed", "moved", "replaced", "folder moved", "no folder"])
def test_a_log_that_is_gone_takes_nothing_in(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "kept" / "log"
    log = WriteAheadLog(folder, wal.NEVER)
    log.append(LINE, 1, b"before")
    (file,) = segment_paths(folder)
    if change == "removed":
        shutil.rmtree(folder.parent)
    elif change == "no folder":
        shutil.rmtree(folder.parent)
        folder.parent.write_text("a file where the folder was")
    elif change == "folder moved":
        folder.parent.rename(tmp_path / "elsewhere")
    else:
        file.rename(tmp_path / "elsewhere.log")
    if change == "replaced":
        file.write_bytes((tmp_path / "elsewhere.log").read_bytes())
    for kind in (REPLY, LINE):
        with pytest.raises(UsageError, match=f"{folder}: was removed, moved or replaced"):
            log.append(kind, 2, b"after")
    # Back in its place, it goes on.
    if change == "folder moved":
        (tmp_path / "elsewhere").rename(folder.parent)
        log.append(REPLY, 1, b"after")
        assert [entry.body for entry in read_entries(folder)] == [b"before", b"after"]
    log.close()


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, monkeypatch) -> None:
    log = WriteAheadLog(tmp_path, wal.ALWAYS)
    log.append(LINE, 1, b"before")
    real = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 5:
            return real(file, data[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for number in (2, 3):
        with pytest.raises(UsageError, match=r"cannot be written \(No space left on device\)"):
            log.append(LINE, number, b"too much")
        assert scan_segment(segment_paths(tmp_path)[0]).torn == 0
    monkeypatch.setattr(os, "write", real)
    log.append(LINE, 2, b"after")
    log.close()
    assert [entry.body for entry in read_entries(tmp_path)] == [b"before", b"after"]


def test_a_disk_that_fails_behind_our_back_is_told_at_the_next_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(wal, "SECONDS_BETWEEN", 0.01)
    failed = threading.Event()

    def failing(file: int) -> None:
        failed.set()
        raise OSError(errno.EIO, "Input/output error")

    log = WriteAheadLog(tmp_path, wal.INTERVAL)
    monkeypatch.setattr(os, "fdatasync", failing)
    log.append(LINE, 1, b"line")
    assert failed.wait(10)
    while log._failed is None:
        threading.Event().wait(0.01)
    with pytest.raises(UsageError, match="Input/output error"):
        log.append(LINE, 2, b"line")
    with pytest.raises(UsageError, match="Input/output error"):
        log.close()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match="the log cannot be written"):
        WriteAheadLog(file / "log")


@pytest.mark.parametrize("fails", ["open", "write"])
def test_a_segment_that_cannot_be_begun_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch, fails: str
) -> None:
    log = WriteAheadLog(tmp_path, wal.NEVER)
    log.append(LINE, 1, b"before")

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(UsageError, match="No space left"):
        log.rotate(2)
    monkeypatch.undo()
    log.append(REPLY, 1, b"after")
    assert [file.name for file in segment_paths(tmp_path)] == [log.segment]
    log.rotate(2)
    log.append(LINE, 2, b"next")
    log.close()
    assert [entry.body for entry in read_entries(tmp_path)] == [b"before", b"after", b"next"]
