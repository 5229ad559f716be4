"""`--alarm` of `uncertain run`: say once that the model is wrong, where, and what can be done; and
the alarm in a table of a bench.

Not here: the evidence (decide/loop/alarm.py), or figures for `--status` (watching.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..decide.loop.serve import Server
    from ..streams.arriving import Arrival

REMEDIES = {
    "narrow": "a larger noise or scale of --model, unknowns that move, more --particles or "
    "another --posterior",
    "wide": "a smaller noise or scale of --model",
    "predictions": "an intercept, a wider prior, unknowns that move",
    "after the other": "unknowns that move, or features that say what the errors share",
    "shape": "another outcome or link of --model, features it lacks",
}
"""What to try, by a word of the bet that won."""


class Alarming:
    """Watches a server's evidence and says it once, when it first reaches 1/alpha (0: never)."""

    def __init__(self, server: Server, alpha: float, tell: Callable[[str], None]) -> None:
        self.server, self._tell, self._alpha = server, tell, alpha
        self._level = -math.log(alpha) if alpha else math.inf
        self._said = False
        if self._reached():
            self._said = True
            tell(f"the model was found wrong before this was resumed{self._held()}")

    def saw(self, arrival: Arrival) -> None:
        """A line was answered."""
        if not self._said and self._reached():
            self._said = True
            file, line = arrival.where
            self._tell(f"{file}:{line}: {self._found()}" if line else f"{file}: {self._found()}")

    def _reached(self) -> bool:
        alarm = self.server.alarm
        return alarm is not None and alarm["highest"] >= self._level

    def _found(self) -> str:
        alarm = self.server.alarm
        assert alarm is not None
        leading = alarm["leading"] or "no one thing"
        remedy = next((r for word, r in REMEDIES.items() if word in leading), None)
        return (
            f"alarm: the model, or the posterior's belief in it, is wrong (evidence "
            f"e^{alarm['highest']:.1f}, by chance at most once in {1 / self._alpha:,.0f} runs): "
            f"{leading}{self._held()}" + (f"; try {remedy}" if remedy else "") + "; going on"
        )

    def _held(self) -> str:
        alarm = self.server.alarm
        assert alarm is not None
        return (
            f"; of {alarm['n']:,} observations {alarm['within_50']:.0%} were in 50 % intervals, "
            f"{alarm['within_90']:.0%} in 90 % intervals"
        )


def alarmed(row: dict[str, Any]) -> str:
    """Percent of runs that found the model wrong, and the event at which half of those had."""
    found = row.get("alarm")
    if found is None:
        return "–"
    at = f" {found['delay']:.0f}" if found["share"] else ""
    return f"{100 * found['share']:.3g}{at}"


__all__ = ["Alarming", "alarmed"]
