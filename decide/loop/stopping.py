"""When asking is over: nothing on offer is worth knowing, or the budget is spent.

Not here: deciding, or the reply that says so (serve.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-9
"""Relative: three actions at .1 each are paid for by a budget of .3."""


@dataclass
class Stopping:
    """until_gain: nats below which the best action is not worth asking. budget: what may be spent,
    in the units of requests' costs, a decision costing 1 where nobody says. None: no such end."""

    until_gain: float | None = None
    budget: float | None = None
    spent: float = 0.0

    def affordable(self, cost: np.ndarray) -> np.ndarray:
        """Which of the costs `[A]` what is left would pay for, `[A]` bool."""
        if self.budget is None:
            return np.ones(cost.shape, bool)
        return self.spent + cost <= self.budget * (1 + ROUNDING)

    def exhausted(self) -> str:
        """Why nothing is affordable."""
        return f"{self.spent:g} of a budget of {self.budget:g} spent: what is left pays for nothing"

    def too_little(self, gains: np.ndarray) -> str | None:
        """Why the expected gains on offer `[A]`, nats, are not worth asking; None if one is."""
        known = gains[np.isfinite(gains)]
        if self.until_gain is None or not known.size or known.max() >= self.until_gain:
            return None
        return f"expected gain of {known.max():.3g} nats is below {self.until_gain:g}"

    def pay(self, costs: np.ndarray) -> int:
        """Spend costs `[q]` in their order while they are affordable; returns how many were."""
        for number, cost in enumerate(costs):
            if not self.affordable(cost):
                return number
            self.spent += float(cost)
        return len(costs)
