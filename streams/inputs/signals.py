"""SIGINT and SIGTERM as a file to wait on, so that work under way is finished first.

A second signal ends the process as it would have without this.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import threading
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Watches for SIGINT and SIGTERM.

    `fileno` becomes readable at the first signal, for a selector. Only the main thread can watch;
    in other threads no signal is ever received.

    received: whether a signal came between `watch` and `close`.
    """

    def __init__(self) -> None:
        self.received = False
        self._old: dict[int, Any] = {}
        self._read, self._write = socket.socketpair()
        for end in (self._read, self._write):
            end.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._read.fileno()

    def watch(self) -> None:
        """Start watching."""
        begun = self._old or self.received
        if begun or threading.current_thread() is not threading.main_thread():
            return
        self._old = {number: signal.signal(number, self._ask) for number in SIGNALS}
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)

    def _ask(self, number: int, frame: Any) -> None:
        if self._read.fileno() < 0:
            # Closed, and put back by somebody who began later: nobody here to tell any more.
            signal.signal(number, self._old.pop(number))
            signal.raise_signal(number)
            return
        self.received = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in list(self._old.items()):
            # Whoever else watches by now goes on doing so.
            if signal.getsignal(number) == self._ask:
                signal.signal(number, handler)
                del self._old[number]

    def wait(self, seconds: float) -> bool:
        """Sleep until a signal comes.

        seconds: longest sleep.
        Returns: whether a signal was received.
        """
        if not self.received:
            with contextlib.suppress(InterruptedError):
                select.select([self._read], [], [], seconds)
        return self.received

    def close(self) -> None:
        """Stop watching."""
        if self._write.fileno() < 0:
            return
        if threading.current_thread() is threading.main_thread():
            self._restore()
            # Not to what it was before: that may be closed by now, and its number another file's.
            now = signal.set_wakeup_fd(-1)
            if now != self._write.fileno():
                signal.set_wakeup_fd(now)
        self._read.close()
        self._write.close()
