"""Addresses that `uncertain` listens at, `unix:PATH` and `tcp:HOST:PORT`, and opening them.

Not here: whoever connects (sockets.py), or where a Redis stream is (redis_address.py).
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from typing import NamedTuple

from ..posteriors.base import UsageError

UNIX, TCP = "unix:", "tcp:"
REDIS = ("redis://", "rediss://", "redis+unix:")
"""What the address of a Redis stream begins with: plain, over TLS, over a unix socket."""
BACKLOG = 128
"""Connections that may wait to be accepted."""
TRYING = 1.0
"""Seconds in which whoever listens at a local socket must take a connection."""


class Address(NamedTuple):
    """path: of a unix socket, else empty; host and port: of TCP."""

    path: str
    host: str = ""
    port: int = 0


def is_address(text: str) -> bool:
    """Whether a FILE is an address rather than a path."""
    return text.startswith((UNIX, TCP, *REDIS))


def is_redis(text: str) -> bool:
    """Whether a FILE is a Redis stream."""
    return text.startswith(REDIS)


def address_of(text: str) -> Address:
    """`unix:PATH` or `tcp:HOST:PORT`, an IPv6 host in brackets. Raises UsageError."""
    if text.startswith(UNIX) and text != UNIX:
        return Address(text.removeprefix(UNIX))
    host, _, port = text.removeprefix(TCP).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not text.startswith(TCP) or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{text}: no address; write tcp:127.0.0.1:7000, or unix:PATH")
    return Address("", host, int(port))


def listen(text: str, remote: bool = False) -> tuple[socket.socket, str]:
    """A socket that listens there, and its address as a client would write it.

    remote: whether other machines may connect. Port 0 is one that is free. Raises UsageError.
    """
    address = address_of(text)
    try:
        if address.path:
            return listen_unix(text, address.path), text
        family, place = resolved(text, address, remote)
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            # Or a server that starts again finds its port in use for a minute.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(place)
            made.listen(BACKLOG)
        except OSError:
            made.close()
            raise
        return made, tcp_name(made.getsockname())
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"{text}: cannot listen there ({why}); choose another address") from error


def tcp_name(place: tuple) -> str:
    """An address of TCP as a user writes it."""
    host, port = place[:2]
    return f"{TCP}[{host}]:{port}" if ":" in host else f"{TCP}{host}:{port}"


def resolved(text: str, address: Address, remote: bool) -> tuple[int, tuple]:
    """Family and place of a host. Raises UsageError where it is not this machine's own."""
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


def listen_unix(text: str, path: str) -> socket.socket:
    """A unix socket at `path`, in place of one that nobody listens at any more."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            made.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            refuse_live(text, path)
            os.unlink(path)
            made.bind(path)
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def refuse_live(text: str, path: str) -> None:
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
