"""`--alarm`: warn once when the model looks misspecified, with the line and a remedy.

See also: decide/loop/core/e_process.py for the evidence, status.py for `--status`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ...decide.loop.server.server import Server
from ...streams.inputs.base import Arrival


class AlarmWarning:
    """Warns once, when the evidence against the model first reaches 1 / alpha.

    server: the live server.
    alpha: false-alarm probability of the whole run; 0 never warns.
    tell: prints a line.
    """

    def __init__(self, server: Server, alpha: float, tell: Callable[[str], None]) -> None:
        self.server, self._tell, self._alpha = server, tell, alpha
        self._level = -math.log(alpha) if alpha else math.inf
        self._warned = False
        if self._reached():
            self._warned = True
            tell(f"the model was found wrong before this was resumed{self._held()}")

    def warn_if_raised(self, arrival: Arrival) -> None:
        """Warn if the line just answered raised the evidence to the level.

        arrival: the line.
        """
        if not self._warned and self._reached():
            self._warned = True
            file, line = arrival.where
            self._tell(f"{file}:{line}: {self._found()}" if line else f"{file}: {self._found()}")

    def _reached(self) -> bool:
        alarm = self.server.alarm
        return alarm is not None and alarm["highest"] >= self._level

    def _found(self) -> str:
        # Tables import this module too, and need no JAX.
        from ...decide.loop.core.e_process import advice_on

        alarm = self.server.alarm
        assert alarm is not None
        remedy = advice_on(alarm["leading"])
        return (
            f"alarm: the model, or the posterior's belief in it, is wrong (evidence "
            f"e^{alarm['highest']:.1f}, by chance at most once in {1 / self._alpha:,.0f} runs): "
            f"{alarm['leading'] or 'no one thing'}{self._held()}"
            + (f"; try {remedy}" if remedy else "")
            + "; going on"
        )

    def _held(self) -> str:
        alarm = self.server.alarm
        assert alarm is not None
        return (
            f"; of {alarm['n']:,} observations {alarm['within_50']:.0%} were in 50 % intervals, "
            f"{alarm['within_90']:.0%} in 90 % intervals"
        )


__all__ = ["AlarmWarning"]
