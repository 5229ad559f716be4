"""Addresses that `uncertain` listens at, `unix:PATH` and `tcp:HOST:PORT`, and opening them.

See also: sockets.py for the clients, redis_address.py for Redis streams.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from typing import NamedTuple

from ...posteriors.errors import UsageError

UNIX, TCP = "unix:", "tcp:"
REDIS = ("redis://", "rediss://", "redis+unix:")
"""First characters of the address of a Redis stream: plain, over TLS, over a unix socket."""
BACKLOG = 128
"""Connections that may wait to be accepted."""
TRYING = 1.0
"""Seconds in which the listener at a local socket must accept a connection."""


class Address(NamedTuple):
    """Address of a listener.

    path: of a unix socket, else empty.
    host: of TCP.
    port: of TCP; 0 for a free one.
    """

    path: str
    host: str = ""
    port: int = 0


def is_address(text: str) -> bool:
    """Return whether a FILE argument is an address rather than a path.

    text: the argument.
    """
    return text.startswith((UNIX, TCP, *REDIS))


def is_redis_address(text: str) -> bool:
    """Return whether a FILE argument is a Redis stream.

    text: the argument.
    """
    return text.startswith(REDIS)


def parse_address(text: str) -> Address:
    """Parse `unix:PATH` or `tcp:HOST:PORT`, an IPv6 host in brackets.

    text: the address.
    Raises: UsageError if it is none.
    """
    if text.startswith(UNIX) and text != UNIX:
        return Address(text.removeprefix(UNIX))
    host, _, port = text.removeprefix(TCP).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not text.startswith(TCP) or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{text}: no address; write tcp:127.0.0.1:7000, or unix:PATH")
    return Address("", host, int(port))


def listen(text: str, remote: bool = False) -> tuple[socket.socket, str]:
    """Open a socket that listens at an address.

    text: the address; port 0 is a free one.
    remote: whether other machines may connect.
    Returns: the socket, and its address as a client would write it.
    Raises: UsageError if it cannot listen there.
    """
    address = parse_address(text)
    try:
        if address.path:
            return _listen_unix(text, address.path), text
        family, place = resolve_address(text, address, remote)
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            # Or a server that starts again finds its port in use for a minute.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(place)
            made.listen(BACKLOG)
        except OSError:
            made.close()
            raise
        return made, format_tcp_address(made.getsockname())
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"{text}: cannot listen there ({why}); choose another address") from error


def format_tcp_address(place: tuple) -> str:
    """Return a TCP address as a user writes it.

    place: host and port, first of a socket's name.
    """
    host, port = place[:2]
    return f"{TCP}[{host}]:{port}" if ":" in host else f"{TCP}{host}:{port}"


def resolve_address(text: str, address: Address, remote: bool) -> tuple[int, tuple]:
    """Resolve a host.

    text: the address, for the message.
    address: the same, parsed.
    remote: whether other machines may connect.
    Returns: family and socket address.
    Raises: UsageError if other machines could connect and `remote` is false.
    """
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, place = found[0]
    if not remote and not ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback:
        raise UsageError(
            f"{text}: other machines could connect, and nothing asks who they are; "
            "use 127.0.0.1, or say --allow-remote"
        )
    return family, place


def _listen_unix(text: str, path: str) -> socket.socket:
    """A unix socket at `path`; one left behind by a process that is gone is replaced."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            made.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _refuse_live(text, path)
            os.unlink(path)
            made.bind(path)
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _refuse_live(text: str, path: str) -> None:
    """Raise UsageError unless `path` is a socket left behind by a process that is gone."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise UsageError(f"{text}: is a file that is no socket; choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(TRYING)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return
        except OSError:
            # A full backlog: somebody is there, if busy.
            pass
    raise UsageError(f"{text}: somebody listens there already; stop it, or choose another path")
