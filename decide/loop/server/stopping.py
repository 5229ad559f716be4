"""Stopping rules: no candidate is worth its information, or the budget is spent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-9
"""Relative tolerance: a budget of .3 pays for three actions at .1."""


@dataclass
class Stopping:
    """When to stop.

    until_gain: smallest expected gain of the best action worth a request, nats; None for no such
        rule.
    budget: total cost that may be spent, in units of the requests' costs (1 by default); None for
        no limit.
    spent: cost so far.
    """

    until_gain: float | None = None
    budget: float | None = None
    spent: float = 0.0

    def affordable(self, cost: np.ndarray) -> np.ndarray:
        """Test which candidates the rest of the budget pays for.

        cost: `[A]`.

        Returns: `[A]` bool.
        """
        if self.budget is None:
            return np.ones(cost.shape, bool)
        return self.spent + cost <= self.budget * (1 + ROUNDING)

    def exhausted_reason(self) -> str:
        """Explain that the budget pays for no candidate."""
        return f"{self.spent:g} of a budget of {self.budget:g} spent: what is left pays for nothing"

    def low_gain_reason(self, gains: np.ndarray) -> str | None:
        """Explain why no candidate is worth its information.

        gains: `[A]` expected gains, nats.

        Returns: the reason; None if a gain reaches `until_gain`.
        """
        known = gains[np.isfinite(gains)]
        if self.until_gain is None or not known.size or known.max() >= self.until_gain:
            return None
        return f"expected gain of {known.max():.3g} nats is below {self.until_gain:g}"

    def pay(self, costs: np.ndarray) -> int:
        """Spend costs in order, while they are affordable.

        costs: `[q]`.

        Returns: how many were spent.
        """
        for number, cost in enumerate(costs):
            if not self.affordable(cost):
                return number
            self.spent += float(cost)
        return len(costs)
