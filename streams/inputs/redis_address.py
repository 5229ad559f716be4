"""Address of a Redis stream, `redis://HOST:PORT/DB/STREAM`, and the identity of its reader.

See also: redis_link.py for the connection.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ...posteriors.errors import UsageError

SECURE, LOCAL = "rediss://", "redis+unix:"
PORT = 6379
MAXLEN = 100_000
"""Replies kept, by default."""
DB_AND_STREAM = re.compile(r"/(\d+)/(.+)", re.DOTALL)
LOCAL_PLACE = re.compile(r"(.+)/(\d+)/(.+)", re.DOTALL)
"""The path of a socket, then the same."""


class RedisAddress(NamedTuple):
    """Address of a Redis stream.

    url: server and database, for redis-py.
    db: number of the database.
    stream: key of the stream.
    name: the whole address for messages, without a password.
    """

    url: str
    db: int
    stream: str
    name: str


@dataclass(frozen=True)
class GroupMember:
    """Identity of a reader of a stream.

    group: consumer group.
    consumer: consumer within the group, one process each.
    replies: stream for the replies; None is STREAM:replies.
    maxlen: replies kept there, about; 0 for all.
    claim: seconds after which an entry pending with another consumer is claimed; None for never.
    """

    group: str = "uncertain"
    consumer: str = "1"
    replies: str | None = None
    maxlen: int = MAXLEN
    claim: float | None = None


def parse_redis_address(text: str) -> RedisAddress:
    """Parse the address of a Redis stream.

    text: `redis://[USER:PASSWORD@]HOST:PORT/DB/STREAM`, the same with `rediss://`, which also takes
        redis-py's `?ssl_...=`, or `redis+unix:PATH/DB/STREAM`.
    Raises: UsageError if it is none.
    """
    return _local(text) if text.startswith(LOCAL) else _remote(text)


def _local(text: str) -> RedisAddress:
    """A server that listens at a unix socket."""
    found = LOCAL_PLACE.fullmatch(text.removeprefix(LOCAL))
    if found is None:
        raise UsageError(f"{text}: names no stream; write {LOCAL}run/redis.sock/0/events")
    path, db, stream = found.groups()
    # redis-py takes absolute paths only.
    return RedisAddress(
        f"unix://{quote(os.path.abspath(path))}?db={db}", int(db), unquote(stream), text
    )


def _remote(text: str) -> RedisAddress:
    """A server that listens at a port."""
    scheme, _, rest = text.partition("://")
    shown = f"{scheme}://{rest.rpartition('@')[2]}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or PORT
    except ValueError as error:
        # What is wrong with it may be the password.
        raise UsageError(f"{shown}: no address; {_wanted(scheme)}") from error
    found = DB_AND_STREAM.fullmatch(parts.path)
    if not host or found is None or parts.fragment:
        raise UsageError(f"{shown}: names no stream; {_wanted(scheme)}")
    options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    for name in options:
        if f"{scheme}://" != SECURE or not name.startswith("ssl_"):
            raise UsageError(
                f"{shown}: no option {name}; only {SECURE} takes any, those of redis-py that "
                "begin with ssl_"
            )
    db, stream = found.groups()
    url = f"{scheme}://{parts.netloc}/{db}" + (f"?{parts.query}" if options else "")
    bare = f"[{host}]" if ":" in host else host
    stream = unquote(stream)
    return RedisAddress(url, int(db), stream, f"{scheme}://{bare}:{port}/{db}/{stream}")


def _wanted(scheme: str) -> str:
    """How an address is written."""
    return f"write {scheme}://127.0.0.1:{PORT}/0/events"
