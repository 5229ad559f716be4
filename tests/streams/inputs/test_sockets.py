"""Sockets: every reply to whoever asked, and clients that are slow, rude or gone harm nobody else.

Real sockets on this machine; what answers is a stand-in.
"""

import contextlib
import errno
import itertools
import json
import os
import random
import resource
import socket
import threading
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rubbish import mutated
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.ndjson import decode_line
from uncertain.streams.formats.record import LineError
from uncertain.streams.inputs import sockets
from uncertain.streams.inputs.addresses import listen, parse_address
from uncertain.streams.inputs.base import CHUNK, LineSplitter
from uncertain.streams.inputs.client import UNREAD
from uncertain.streams.inputs.rejected import RejectedLines, too_long_error
from uncertain.streams.inputs.sockets import Sockets

LINE = b'{"id":%d}\n'


class Echo:
    """A server in a thread that answers each line with its id and the length of its input."""

    def __init__(self, address="tcp:127.0.0.1:0", stop=False, reply=b"", **options):
        self.told: list[str] = []
        self.peers: list[Peer] = []
        self.sockets = Sockets(address, notify=self.told.append, **options)
        self.refusals = RejectedLines()
        self.order: list[str] = []
        self.stop, self.reply = stop, reply.decode()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        while not self._over.is_set():
            arrival = self.sockets.take(0.02)
            if arrival is None:
                continue
            self.order.append(arrival.where.file)
            try:
                if arrival.length > self.sockets.longest:
                    raise too_long_error(arrival, self.sockets.longest)
                record = decode_line(arrival.line, arrival.where)
                fields = {"id": record.id, "to": arrival.where.file, "more": self.reply}
            except LineError as error:
                if self.stop:
                    self.sockets.dismiss(arrival, error)
                fields = self.refusals.reject(arrival, error)
            arrival.sink.write(fields)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._thread.join(10)
        alive = self._thread.is_alive()
        for peer in self.peers:
            peer.close()
        self.sockets.close()
        assert not alive

    def connect(self):
        name = self.sockets.name
        address = parse_address(name)
        family = socket.AF_UNIX if address.path else socket.AF_INET
        made = Peer(family)
        made.settimeout(20)
        made.connect(address.path or (address.host, address.port))
        self.peers.append(made)
        return made


class Peer(socket.socket):
    """A client's end, with the replies that it has read too early."""

    early = b""


def lines_of(client, count):
    """The next `count` replies."""
    while client.early.count(b"\n") < count:
        more = client.recv(1 << 16)
        assert more, client.early
        client.early += more
    *lines, client.early = client.early.split(b"\n", count)
    return [json.loads(line) for line in lines]


def rest_of(client):
    """All replies until the connection ends."""
    with client.makefile("rb") as file:
        return [json.loads(line) for line in (client.early + file.read()).splitlines()]


def until(condition, seconds=20.0):
    """Wait for it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_hundred_clients_each_get_their_own(kind, tmp_path):
    address = f"unix:{tmp_path}/socket" if kind == "unix" else "tcp:127.0.0.1:0"
    with Echo(address, most=100) as echo:
        clients = [echo.connect() for _ in range(100)]
        for number, client in enumerate(clients):
            client.sendall(b"".join(LINE % (1000 * number + i) for i in range(20)))
        for number, client in enumerate(clients):
            replies = lines_of(client, 20)
            assert [r["id"] for r in replies] == [1000 * number + i for i in range(20)]
            assert len({r["to"] for r in replies}) == 1
        assert echo.sockets.clients == 100
        # One more is told so, and let go.
        assert "100 clients are here" in rest_of(echo.connect())[0]["error"]
        for client in clients:
            client.close()
        until(lambda: echo.sockets.clients == 0)
        assert lines_of_one(echo) == [1]
    assert "1 clients turned away: beyond --max-clients" in echo.sockets.notes()


def lines_of_one(echo):
    """Ids answered to a client that sends one line and says that it has no more."""
    client = echo.connect()
    client.sendall(LINE % 1)
    client.shutdown(socket.SHUT_WR)
    return [reply["id"] for reply in rest_of(client)]


def test_many_lines_of_one_do_not_hide_one_of_another():
    echo = Echo()
    # All is sent before anything is served, so nothing depends on who is quicker.
    greedy, modest = echo.connect(), echo.connect()
    greedy.sendall(LINE % 1 * 4000)
    modest.sendall(LINE % 2)
    name = f"tcp:127.0.0.1:{modest.getsockname()[1]}"
    with echo:
        assert lines_of(modest, 1)[0]["id"] == 2
        assert len(lines_of(greedy, 4000)) == 4000
    assert echo.order.index(name) < 10


def test_a_line_in_pieces_and_half_a_line_at_the_end():
    with Echo() as echo:
        client = echo.connect()
        for byte in b'{"id": "ab"}\r\n\n\n{"id": 2}':
            client.sendall(bytes([byte]))
            time.sleep(0.001)
        client.shutdown(socket.SHUT_WR)
        assert [reply["id"] for reply in rest_of(client)] == ["ab", 2]
        client = echo.connect()
        client.sendall(b'{"id": 1}\n{"id": 2, "x": [1')
        client.shutdown(socket.SHUT_WR)
        whole, half = rest_of(client)
        assert whole["id"] == 1
        assert half["id"] == 2
        assert "not JSON" in half["error"]
        assert echo.refusals.reasons == {"cut off": 1}
        # Gone in the middle of a line, and with replies that nobody will read.
        client = echo.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.sendall(LINE % 3 * 5 + b'{"id"')
        client.close()
        until(lambda: echo.sockets.clients == 0)
        assert lines_of_one(echo) == [1]


def test_stop_tells_and_disconnects_only_the_culprit():
    with Echo(stop=True) as echo:
        good, bad = echo.connect(), echo.connect()
        bad.sendall(LINE % 1 + b'{"id": 7, "x": "no"}\n' + LINE % 2 * 3)
        first, last = rest_of(bad)
        assert first["id"] == 1
        assert last["id"] == 7
        assert "x: expected array | null, got str" in last["error"]
        until(lambda: echo.sockets.clients == 1)
        good.sendall(LINE % 5)
        assert lines_of(good, 1)[0]["id"] == 5
        assert echo.sockets.unanswered == 3


@pytest.mark.parametrize("trickles", [False, True])
def test_half_a_line_does_not_hold_a_place_for_long(trickles):
    with Echo(stalled=0.3) as echo:
        idle, half = echo.connect(), echo.connect()
        idle.sendall(LINE % 1)
        lines_of(idle, 1)
        half.sendall(LINE % 2 + b'{"id": "')
        assert lines_of(half, 1)[0]["id"] == 2
        with contextlib.suppress(OSError):
            while trickles and not echo.sockets.halves:
                half.sendall(b"x")
                time.sleep(0.01)
        until(lambda: echo.sockets.halves)
        if not trickles:
            # What it sends once it has been told would take its last reply away.
            assert "end it with a line feed" in rest_of(half)[0]["error"]
        until(lambda: echo.sockets.clients == 1)
        # Negative control: whoever sends nothing at all stays, and is served.
        time.sleep(0.5)
        idle.sendall(LINE % 3)
        assert lines_of(idle, 1)[0]["id"] == 3
    assert "1 clients disconnected: they left a line half sent" in echo.sockets.notes()


def test_a_line_that_waits_for_its_turn_is_not_late(monkeypatch):
    """Its first half is here, its second in the system's buffers, while others are served."""
    monkeypatch.setattr(sockets, "GLANCE", 0.0)
    with Echo(stalled=0.2) as echo:
        client = echo.connect()
        wide = b'{"id": 1, "key": "' + b"x" * (3 * CHUNK) + b'"}\n'
        client.sendall(LINE % 0 * 6_000 + wide)
        assert len(lines_of(client, 6_001)) == 6_001
        assert echo.sockets.halves == 0


@pytest.mark.parametrize("most", [3, 256])
def test_half_lines_cannot_shut_others_out(most):
    with Echo(most=most) as echo:
        whole = [echo.connect() for _ in range(most)]
        for client in whole:
            client.sendall(LINE % 1)
            lines_of(client, 1)
        # Negative control: those who send whole lines keep their places.
        time.sleep(1.2)
        assert f"{most} clients are here already" in rest_of(echo.connect())[0]["error"]
        for client in whole:
            client.sendall(b'{"id"')
        time.sleep(0.1)
        assert f"{most} clients are here already" in rest_of(echo.connect())[0]["error"]
        time.sleep(1.2)
        for _ in range(3):
            assert lines_of_one(echo) == [1]
        assert echo.sockets.halves >= 1


def test_who_does_not_read_is_not_served_and_then_let_go():
    wide = b"r" * 20_000
    with Echo(reply=wide, stalled=0.7) as echo:
        idle, busy = echo.connect(), echo.connect()
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.setblocking(False)
        sent, ends = 0, time.monotonic() + 20
        data = LINE % 1 * 20_000
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < ends:
                with contextlib.suppress(BlockingIOError):
                    sent += idle.send(data)
                busy.sendall(LINE % 9)
                begin = time.monotonic()
                assert lines_of(busy, 1)[0]["id"] == 9
                assert time.monotonic() - begin < 5
                if echo.sockets.slow:
                    break
        assert echo.sockets.slow == 1
        assert any("read nothing for" in text for text in echo.told)
        until(lambda: echo.sockets.clients == 1)
        # Of all that was sent, little was read and less was answered.
        served = echo.order.count(f"tcp:127.0.0.1:{idle.getsockname()[1]}")
        assert 0 < served < 2 * CHUNK // len(LINE % 1)


def test_who_reads_late_is_served_in_full():
    """Back-pressure, not loss. Negative control of the test above."""
    with Echo(reply=b"r" * 20_000, stalled=20) as echo:
        client = echo.connect()
        sender = threading.Thread(target=client.sendall, args=(LINE % 4 * 500,))
        sender.start()
        time.sleep(0.3)
        held = max((len(c.sending) for c in echo.sockets._clients), default=0)
        assert held <= UNREAD + 30_000
        assert [reply["id"] for reply in lines_of(client, 500)] == [4] * 500
        sender.join()
        assert echo.sockets.slow == 0


def test_a_line_of_a_hundred_megabytes_takes_little_memory():
    with Echo(longest=1 << 20) as echo:
        client = echo.connect()
        lines_before = lines_of_one(echo)
        tracemalloc.start()
        try:
            piece = b"x" * (1 << 20)
            client.sendall(b'{"id": 3, "x": "')
            for _ in range(100):
                client.sendall(piece)
            client.sendall(b'"}\n' + LINE % 4)
            long, after = lines_of(client, 2)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        print(f"peak {peak / 2**20:.1f} MiB")
        assert lines_before == [1]
        assert long["id"] == 3
        assert f"{16 + (100 << 20) + 2} bytes, at most {1 << 20}" in long["error"]
        assert after["id"] == 4
        assert echo.refusals.reasons == {"too long": 1}
        assert peak < 8 << 20


def test_too_many_open_files_only_delay(monkeypatch):
    accept, failures = socket.socket.accept, [3]

    def scarce(listener):
        if failures[0]:
            failures[0] -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return accept(listener)

    with Echo() as echo:
        early = echo.connect()
        early.sendall(LINE % 1)
        assert lines_of(early, 1)[0]["id"] == 1
        monkeypatch.setattr(socket.socket, "accept", scarce)
        late = echo.connect()
        late.sendall(LINE % 2)
        early.sendall(LINE % 3)
        assert lines_of(early, 1)[0]["id"] == 3
        assert lines_of(late, 1)[0]["id"] == 2
        assert failures == [0]


def test_a_browser_is_sent_away():
    with Echo() as echo:
        client = echo.connect()
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n" + LINE % 1)
        replies = rest_of(client)
        assert [r["error"] for r in replies] == ["this is no web server: send NDJSON"]
        assert not echo.order


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8), st.randoms(use_true_random=False))
def test_rubbish_harms_nobody(pieces, chance):
    with Echo(longest=200) as echo:
        good, bad = echo.connect(), echo.connect()
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                bad.sendall(piece + b"\n" * chance.randrange(2))
        good.sendall(LINE % 1)
        assert lines_of(good, 1)[0]["id"] == 1
        bad.close()
        good.close()


@given(
    st.lists(st.binary(max_size=30), max_size=12),
    st.lists(st.integers(0, 400), max_size=10),
    st.integers(1, 25),
)
def test_lines_are_those_of_the_whole_however_it_is_cut(parts, places, longest):
    whole = b"\n".join(parts)
    no_sink: Any = None
    lines, found = LineSplitter(longest, "x", no_sink), []
    cuts = sorted({min(place, len(whole)) for place in places} | {0, len(whole)})

    def drain():
        while (cut := lines.take()) is not None:
            found.append(cut)

    for begin, end in itertools.pairwise(cuts):
        lines.feed(whole[begin:end])
        drain()
    lines.end()
    drain()
    expected, offset = [], 0
    for number, line in enumerate(whole.split(b"\n"), 1):
        if line.strip() or len(line) > longest:
            expected.append((number, offset, len(line)))
        offset += len(line) + 1
    assert [(c.where.line, c.offset, c.length) for c in found] == expected
    for cut in found:
        true = whole[cut.offset : cut.offset + cut.length]
        assert true.startswith(cut.line)
        assert len(cut.line) == cut.length or cut.length > longest
        assert cut.whole == (cut.offset + cut.length < len(whole))


def test_addresses(tmp_path):
    assert parse_address("tcp:[::1]:0") == ("", "::1", 0)
    for wrong in ("tcp:7000", "tcp:localhost:x", "tcp:localhost:70000", "unix:", "tcp::1"):
        with pytest.raises(UsageError, match="no address"):
            parse_address(wrong)
    with pytest.raises(UsageError, match="--allow-remote"):
        listen("tcp:0.0.0.0:0")
    made, name = listen("tcp:0.0.0.0:0", remote=True)
    assert not name.endswith(":0")
    port = name.rpartition(":")[2]
    with pytest.raises(UsageError, match="cannot listen there"):
        listen(f"tcp:0.0.0.0:{port}", remote=True)
    made.close()
    with pytest.raises(UsageError, match="cannot listen there"):
        listen(f"unix:{tmp_path}/absent/socket")


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    path = tmp_path / "socket"
    address = f"unix:{path}"
    made, _ = listen(address)
    with pytest.raises(UsageError, match="somebody listens there already"):
        listen(address)
    made.close()
    assert path.exists()
    with Echo(address) as echo:
        assert lines_of_one(echo) == [1]
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(UsageError, match="no socket"):
        listen(address)
    assert path.read_text() == "precious"


@pytest.mark.soak
def test_a_million_lines_of_rubbish():
    """Mutations of good lines and plain rubbish from clients that come and go."""
    chance = random.Random(0)
    good = b'{"id":1,"t":2.5,"x":[1.0,-2e3],"actions":["a",{"id":"b","cost":2}],"y":null}\n'
    sent, warm = 0, 0
    with Echo(longest=500) as echo:
        while sent < 10**6:
            warm = warm or (memory() if sent > 10**5 else 0)
            client = echo.connect()
            client.settimeout(60)
            reader = threading.Thread(target=drain, args=(client,))
            reader.start()
            with contextlib.suppress(OSError):
                for _ in range(200):
                    batch = b"".join(mutated(chance, good) for _ in range(100))
                    client.sendall(batch)
                    sent += 100
                client.shutdown(socket.SHUT_WR)
            reader.join()
            client.close()
        assert lines_of_one(echo) == [1]
        assert len(echo.order) >= 10**6
    echo.order.clear()
    print(sent, echo.refusals.reasons, f"{warm} KiB, then {memory()} KiB")
    assert memory() - warm < 100_000


def memory():
    """Most that this process has held so far, KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def drain(client):
    with contextlib.suppress(OSError):
        while client.recv(1 << 16):
            pass
