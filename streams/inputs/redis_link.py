"""A Redis connection that retries through restarts and transient errors.

See also: redis_group.py for the commands.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ...posteriors.errors import UsageError
from .redis_address import GroupMember, RedisAddress
from .signals import Signals

SILENCE = 5.0
"""Seconds without an answer after which a connection counts as lost."""
SHORTEST, LONGEST = 0.05, 2.0
"""Seconds between attempts to get through again: twice as many each time, between these."""
SPREAD = 0.5
"""Share of a pause by which an attempt may come early: consumers do not return all at once."""
LOOKS, LOOK = 10, 0.1
"""Looks for another process of the same name, and seconds between them: the connection of one that
was just killed may take a moment to go."""
PASSING = (
    "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY",
    "TRYAGAIN",
)  # fmt: skip
"""Error codes of the protocol for trouble that passes and is not of our making."""
CODE = re.compile(r"[A-Z]+(?= |$)")
SCRIPT = re.compile(r"(?:user_script|f_[0-9a-f]{40}): ?\d+: -?([A-Z]+) ")
"""The code within the error of a script; servers before version 7 put their own before it."""


def error_code(error: Exception) -> str:
    """Return the protocol's code of an error: its first word, empty if it has none.

    error: raised by redis-py.
    """
    text = str(error)
    if found := SCRIPT.search(text):
        return found[1]
    # The package takes codes that it knows off the text.
    if known := getattr(error, "status_code", None):
        return str(known)
    found = CODE.match(text)
    return found[0] if found else ""


class CommandRefused(Exception):
    """The server refused a command.

    code: the protocol's, or empty.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class ServerAway(Exception):
    """There is no answer: the server is or was away, and may have carried out the command."""


class RedisLink:
    """A connection that asks again while the server is away; answers are those of RESP 2.

    place: address of the stream.
    member: the consumer.
    signals: end a wait.
    notify: receives messages for the user, one line each.
    losses: times that the server was away.
    Raises: UsageError if there is no server or no redis-py, or if another process is connected as
        the same consumer: both would be given the same entries.
    """

    def __init__(
        self,
        place: RedisAddress,
        member: GroupMember,
        signals: Signals,
        notify: Callable[[str], None],
    ) -> None:
        try:
            import redis
            from redis import exceptions as found
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise UsageError(
                f"{place.name}: needs redis-py: pip install 'uncertain[redis]'"
            ) from error
        self.name, self.losses = place.name, 0
        self._signals, self._notify = signals, notify
        self._away, self._due, self._pause = 0.0, 0.0, SHORTEST
        self._error, self._says_no = (found.RedisError, OSError), found.ResponseError
        self._no_script = found.NoScriptError
        self._passing = (
            found.ConnectionError, found.TimeoutError, OSError, found.OutOfMemoryError,
            found.ReadOnlyError, found.TryAgainError, found.ClusterDownError,
        )  # fmt: skip
        # The name of a connection has no blanks. The host may have several, so it is not in it.
        who = repr((place.db, place.stream, member.group, member.consumer))
        label = hashlib.blake2b(who.encode(), digest_size=8).hexdigest()
        self._label, self._own = f"uncertain-{label}-", f"uncertain-{label}-{secrets.token_hex(4)}"
        try:
            # Trying again is done here, where it is known what may be asked twice. RESP 2, and
            # answers as they come, are the same in all versions of the package.
            self._client = redis.Redis.from_url(
                place.url, protocol=2, client_name=self._own, retry=Retry(NoBackoff(), 0),
                socket_timeout=SILENCE, socket_connect_timeout=SILENCE,
            )  # fmt: skip
        except (*self._error, ValueError, TypeError) as error:
            raise self._unreachable(error) from error
        self._client.response_callbacks.clear()
        try:
            self._client.execute_command("PING")
            self._alone()
        except (*self._error, ValueError, TypeError) as error:
            self.close()
            raise self._unreachable(error) from error
        except UsageError:
            self.close()
            raise

    def call(self, *words: Any, within: float | None = None) -> Any:
        """Send a command; while the server is away, send it again until it is back.

        words: the command.
        within: seconds to wait, for a command that must not be repeated: if the connection is lost
            meanwhile, it may have been carried out.
        Raises: ServerAway without an answer in time or after a signal; CommandRefused if the server
            refuses.
        """
        until = math.inf if within is None else time.monotonic() + within
        unsure = False
        while self._ready(until):
            try:
                if self._away:
                    self._again()
                    if unsure:
                        self._back()
                        break
                answer = self._client.execute_command(*words)
            except self._error as error:
                if not self._passes(error):
                    self._back()
                    raise CommandRefused(_why(error), error_code(error)) from error
                # What the server refused it has not done.
                unsure |= within is not None and not isinstance(error, self._says_no)
                self._lost(error)
            else:
                self._back()
                return answer
        raise ServerAway

    def run_script(self, script: str, keys: tuple[Any, ...], values: tuple[Any, ...]) -> Any:
        """Run a Lua script, which the server carries out as a whole or not at all.

        script: source.
        keys: KEYS of the script.
        values: ARGV of the script.
        """
        digest = hashlib.sha1(script.encode()).hexdigest()
        try:
            return self.call("EVALSHA", digest, len(keys), *keys, *values)
        except CommandRefused as error:
            if not isinstance(error.__cause__, self._no_script):
                raise
        # It is a new server, or one that was started again; afterwards it knows the script.
        return self.call("EVAL", script, len(keys), *keys, *values)

    def try_once(self, *words: Any) -> Any:
        """Send a command once, from any thread; None if there is no answer.

        words: the command.
        """
        try:
            return self._client.execute_command(*words)
        except self._error:
            return None

    def close(self) -> None:
        """Close the connection."""
        with suppress(*self._error):
            self._client.close()

    def _ready(self, until: float) -> bool:
        """Whether to ask now; where the server is away, when it is time to try again."""
        if not self._away:
            return True
        pause = min(self._due, until) - time.monotonic()
        return not self._signals.wait(max(pause, 0.0)) and self._due <= until

    def _lost(self, error: Exception) -> None:
        """Take note that there is no getting through."""
        now = time.monotonic()
        if not self._away:
            self._away, self._pause = now, SHORTEST
            self.losses += 1
            self._notify(f"{self.name}: {_why(error)}; trying again")
        self._due = now + self._pause * (1 - SPREAD * random.random())
        self._pause = min(2 * self._pause, LONGEST)

    def _back(self) -> None:
        """Take note that there is, again."""
        if self._away:
            self._notify(f"{self.name}: back after {time.monotonic() - self._away:.1f} s")
            self._away = 0.0

    def _again(self) -> None:
        """See whether the server is back, over a new connection."""
        self._client.connection_pool.disconnect()
        self._client.execute_command("PING")
        self._alone()

    def _alone(self) -> None:
        """Raise UsageError where another process is connected under the same name."""
        for look in range(LOOKS):
            if look:
                time.sleep(LOOK)
            try:
                clients: Any = self._client.execute_command("CLIENT", "LIST")
            except self._passing:
                raise
            except self._error:
                # Some services do not let their users see it.
                return
            names = _names_in(clients)
            if not any(n.startswith(self._label) and n != self._own for n in names):
                return
        raise UsageError(
            f"{self.name}: another process reads it as the same consumer; give each its own "
            "--consumer"
        )

    def _passes(self, error: Exception) -> bool:
        """Whether to wait for better times."""
        if isinstance(error, self._passing):
            return True
        return isinstance(error, self._says_no) and error_code(error) in PASSING

    def _unreachable(self, error: Exception) -> UsageError:
        return UsageError(
            f"{self.name}: cannot be reached ({_why(error)}); is a Redis server there?"
        )


def _names_in(clients: bytes) -> list[str]:
    """Names in the answer to CLIENT LIST."""
    words = clients.decode(errors="replace").split()
    return [word.removeprefix("name=") for word in words if word.startswith("name=")]


def _why(error: Exception) -> str:
    """The message of an error on one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
