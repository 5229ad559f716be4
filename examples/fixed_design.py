"""A fixed design as a baseline: the same twenty questions for everyone, in order.

    uncertain bench discounting --model examples/fixed_design.py:Asked \\
        --proposer examples/fixed_design.py:in_order --posterior smc --rule random --candidates 1
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jax.scipy.stats import norm
from uncertain.posteriors.models.discounting import Discounting

QUESTIONS = 20
# Half of the money now, or all after a delay at which a quantile of the prior is indifferent.
LEVELS = norm.ppf((jnp.arange(QUESTIONS) + 0.5) / QUESTIONS)
DESIGN = jnp.stack([jnp.full(QUESTIONS, 50.0), jnp.exp(4.25 - 1.5 * LEVELS)], axis=1)


@dataclass(frozen=True)
class Asked(Discounting):
    """The discounting model with a counter of questions."""

    def init_stats(self):
        return jnp.zeros((), jnp.int32)

    def update_stats(self, stats, event):
        return stats + (event.weight > 0)


def in_order(model):
    """Build a proposer that offers only the next question."""

    def propose(key, draws, model, stats, count):
        return jnp.broadcast_to(DESIGN[stats % QUESTIONS], (count, 2))

    return propose
