"""Hyperbolic temporal discounting: choices between money now and 100 after a delay.

Source: Foster, Ivanova, Malik and Rainforth (2021), section 6.2; Vincent (2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import erf
from numpyro.distributions.transforms import (
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    SigmoidTransform,
)

from ..base import Array, Distribution, Model, Params, Vector, dist
from ..errors import UsageError

LARGER = 100.0
"""The later amount of money."""
LONGEST = 100.0
"""Longest delay of a random question, days."""

MIDDLE = 4.25 - 0.5 * 1.5**2
"""Log of the delay in days at which the released code's policy starts: minus log E[k]."""


@dataclass(frozen=True)
class Discounting(Model):
    """The action is (money now, delay in days of the later 100), the observation 1 for "later".

    link: "erf" as in the released code, or "phi" as in the paper (smaller argument, by sqrt 2).
    slip: twice the probability of a careless answer.
    """

    link: str = "erf"
    slip: float = 0.01

    def __post_init__(self) -> None:
        if self.link not in ("erf", "phi"):
            raise UsageError(f"link={self.link!r}: choose erf or phi")

    @property
    def actions(self) -> Vector:
        return Vector(2, 0.0, LARGER)

    def prior(self) -> dict[str, Distribution]:
        return {"log_k": dist.Normal(-4.25, 1.5), "alpha": dist.HalfNormal(2.0)}

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the choice.

        params: `log_k []`, log discount rate per day; `alpha []`, width of indifference.
        stats: none.
        action: `[2]`, money now and delay in days.
        """
        now, delay = action[0], action[1]
        later = LARGER / (1 + jnp.exp(params["log_k"]) * delay)
        z = (later - now) / (params["alpha"] + 1e-3)
        if self.link == "phi":
            z = z * jnp.sqrt(0.5)
        return dist.Bernoulli(self.slip + (1 - 2 * self.slip) * 0.5 * (1 + erf(z)))

    def design(self) -> Distribution:
        return dist.Uniform(jnp.asarray([0.0, 1.0]), jnp.asarray([LARGER, LONGEST])).to_event(1)

    def coordinates(self) -> tuple[Any, ...]:
        """Transforms to a share of the later amount, and to a delay around a mean subject's."""
        share = ComposeTransform([SigmoidTransform(), AffineTransform(0.0, LARGER)])
        delay = ComposeTransform([AffineTransform(MIDDLE, 1.0), ExpTransform()])
        return share, delay

    def focus(self, key: Array, params: Params) -> Array:
        """Draw a question about which a subject is nearly indifferent.

        key: random key.
        params: the subject's `log_k []` and `alpha []`.
        """
        delay_key, offset_key, scale_key = jax.random.split(key, 3)
        u = jax.random.uniform(delay_key)
        # Delays are log-uniform: a discount rate of e^-4.25 a day halves 100 in ten weeks.
        delay = jnp.exp(u * jnp.log(1e4))
        later = LARGER / (1 + jnp.exp(params["log_k"]) * delay)
        spread = (params["alpha"] + 1e-3) * jnp.exp(
            jnp.log(4.0) * (jax.random.uniform(scale_key) - 0.5)
        )
        now = later + spread * jax.random.normal(offset_key)
        return jnp.stack([jnp.clip(now, 0.0, LARGER), delay])
