"""Streams, clock and variables of the process, passed to commands so that tests need no patching.

Imports nothing heavy, because `uncertain --help` imports this.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING:
    from rich.console import Console


class ExitStatus(IntEnum):
    """Exit status of the process."""

    DONE = 0
    GATE_FAILED = 1
    """A bound that the command line sets was not met."""
    INCOMPLETE = 1
    """Some cells failed; the others are done."""
    WRONG_USE = 2
    """Command line, configuration or input that the user can put right."""
    BUG = 70
    """A mistake in this program (EX_SOFTWARE of sysexits.h)."""
    INTERRUPTED = 130


@dataclass
class Environment:
    """stdout carries data, stderr is for people; both are text with a binary `buffer`.

    clock: seconds from any origin. variables: as `os.environ`. debug: show tracebacks.
    """

    stdin: BinaryIO
    stdout: TextIO
    stderr: TextIO
    stdout_is_terminal: bool = False
    stderr_is_terminal: bool = False
    clock: Callable[[], float] = time.perf_counter
    variables: Mapping[str, str] = field(default_factory=dict)
    debug: bool = False

    @property
    def data(self) -> BinaryIO:
        """Standard output for bytes."""
        # Text files have a buffer; the protocol they are typed by does not say so.
        return self.stdout.buffer  # type: ignore[attr-defined]

    def say(self, text: str) -> None:
        """Write a line on standard error.

        text: the line, without its end.
        """
        self.stderr.write(f"uncertain: {text}\n")
        self.stderr.flush()

    def console(self) -> Console | None:
        """A console on standard output, where that is a terminal."""
        if not self.stdout_is_terminal:
            return None
        from rich.console import Console

        return Console(file=self.stdout, force_terminal=True, no_color=self.plain)

    def messages(self) -> Console:
        """A console on standard error; progress bars know whether it is a terminal."""
        from rich.console import Console

        return Console(
            file=self.stderr, force_terminal=self.stderr_is_terminal, no_color=self.plain
        )

    @property
    def plain(self) -> bool:
        """Whether the user wants no colours (no-color.org)."""
        return bool(self.variables.get("NO_COLOR"))


def standard_environment() -> Environment:
    """Return the environment of the process."""
    return Environment(
        sys.stdin.buffer if sys.stdin else open(os.devnull, "rb"),
        sys.stdout,
        sys.stderr,
        sys.stdout.isatty(),
        sys.stderr.isatty(),
        variables=os.environ,
        debug=bool(os.environ.get("UNCERTAIN_DEBUG")),
    )
