"""Following a file: growth, rotation, truncation, half lines, and a clean end.

See also: tests/cli/live/test_rejected.py for `uncertain run --follow` as a process.
"""

import gzip
import os
import random
import signal
import threading
import time

import pytest
from uncertain.posteriors.errors import UsageError
from uncertain.streams.inputs.signals import Signals
from uncertain.streams.inputs.tail import LONGEST, Tail


class Nobody:
    """A sink that nothing is written to."""

    def write(self, fields):
        raise AssertionError(fields)


def follow(path, **options):
    return Tail(str(path), Nobody(), **options)


def taken(following, seconds=0.05):
    """Lines there now, as (number, offset, text)."""
    found = []
    while (arrival := following.take(seconds)) is not None:
        found.append((arrival.where.line, arrival.offset, arrival.line.decode()))
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.ndjson"


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def test_it_grows_and_half_a_line_is_waited_for(path):
    path.write_bytes(b"\xef\xbb\xbfone\n\ntw")
    following = follow(path)
    assert taken(following) == [(1, 3, "one")]
    append(path, "o")
    assert taken(following) == []
    append(path, "\nthree\nfour")
    assert taken(following) == [(3, 8, "two"), (4, 12, "three")]
    assert following.behind() == 0
    assert not following.ended
    following.close()


def test_it_waits_without_a_limit(path):
    path.write_text("")
    following = follow(path)
    writer = threading.Timer(0.2, append, (path, "late\n"))
    writer.start()
    arrival = following.take()
    assert arrival is not None
    assert arrival.line == b"late"
    writer.join()
    following.close()


def test_rotation_finishes_the_old_file_first(path):
    path.write_text("1\n2\n")
    told = []
    following = follow(path, notify=told.append)
    assert len(taken(following)) == 2
    append(path, "3\n")
    path.rename(path.with_suffix(".1"))
    append(path.with_suffix(".1"), "4\nhal")
    assert taken(following) == [(3, 4, "3"), (4, 6, "4")]
    path.write_text("5\n")
    assert taken(following) == [(5, 8, "hal"), (1, 0, "5")]
    assert told == [f"{path}: replaced; reading the new one"]
    following.close()


def test_a_shortened_file_is_read_again(path):
    path.write_text("1\n2\nlong half of a line")
    told = []
    following = follow(path, notify=told.append)
    assert len(taken(following)) == 2
    with path.open("r+") as file:
        file.truncate(0)
    append(path, "3\n")
    assert [line for _, _, line in taken(following)] == ["long half of a line", "3"]
    assert "became shorter" in told[0]
    following.close()


def test_a_file_that_comes_later(path):
    told = []
    following = follow(path, notify=told.append)
    assert "waiting for it" in told[0]
    assert taken(following) == []
    path.write_text("1\n")
    assert taken(following) == [(1, 0, "1")]
    following.close()


def test_what_cannot_be_followed(tmp_path):
    with pytest.raises(UsageError, match="no plain file"):
        follow(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="no plain file"):
        follow(tmp_path / "fifo")
    with pytest.raises(UsageError, match="standard input"):
        follow("-")
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(b"1\n"))
    following = follow(packed)
    with pytest.raises(UsageError, match="gzipped"):
        following.take(0.1)
    following.close()


def test_a_long_line_is_cut(path):
    path.write_text("x" * 1000 + "\nshort\n")
    following = follow(path, longest=10)
    long, short = following.take(1), following.take(1)
    assert long is not None
    assert short is not None
    assert (long.length, short.offset, short.line) == (1000, 1001, b"short")
    following.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(path, number):
    path.write_text("1\n")
    before = signal.getsignal(number)
    following = follow(path)
    assert following.take().line == b"1"  # type: ignore[union-attr]
    killer = threading.Timer(0.2, os.kill, (os.getpid(), number))
    killer.start()
    begin = time.monotonic()
    assert following.take(20) is None
    assert time.monotonic() - begin < 10
    assert following.ended
    killer.join()
    following.close()
    assert signal.getsignal(number) == before


def test_no_line_is_lost_or_read_twice_while_somebody_writes_and_rotates(path):
    """Real time, a writer that flushes pieces of lines and rotates now and then."""
    count, chance = 3000, random.Random(1)
    path.write_text("")

    def write():
        file = path.open("a")
        for number in range(count):
            text = f"{number}\n"
            at = chance.randrange(len(text))
            for piece in (text[:at], text[at:]):
                file.write(piece)
                file.flush()
            if number % 500 == 499 and number + 1 < count:
                file.close()
                path.rename(path.with_suffix(f".{number}"))
                file = path.open("a")
                time.sleep(1.5 * LONGEST)
        file.close()

    following = follow(path)
    writer = threading.Thread(target=write)
    writer.start()
    found = []
    while len(found) < count and (arrival := following.take(5)) is not None:
        found.append(int(arrival.line))
    writer.join()
    following.close()
    assert found == list(range(count))


def test_two_that_watch_for_the_end_close_in_any_order() -> None:
    """A run that is kept watches too; whoever began last hears of it first."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    inner = signal.getsignal(signal.SIGINT)
    first, second = Signals(), Signals()
    first.watch()
    second.watch()
    first.close()
    os.kill(os.getpid(), signal.SIGTERM)
    assert second.wait(5)
    assert not heard
    second.close()
    second.close()
    assert signal.set_wakeup_fd(-1) == -1
    # Both are gone, so whoever watched before hears the next one.
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    signal.signal(signal.SIGTERM, before)
    signal.signal(signal.SIGINT, inner)
