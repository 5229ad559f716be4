"""A rule of your own: learn as much as possible, at doses up to a limit.

    uncertain run dose.ndjson --model examples/dose.py:Dose --posterior smc \\
        --rule examples/safe_dose.py:safe:most=6 --until-gain 0.01
"""

import jax
import jax.numpy as jnp
from uncertain.decide.rules.base import choose_best
from uncertain.decide.rules.information import belief_gain


def safe(model, most: float = 6.0):
    """Build the rule. most: the largest safe dose; larger ones score 0."""

    def choose(key, belief, model, stats, candidates):
        gain_key, tie_key = jax.random.split(key)
        gain = belief_gain(gain_key, model, belief, stats, candidates.features, 128)
        return choose_best(
            tie_key, jnp.where(candidates.features[:, 0] <= most, gain, 0.0), candidates.valid
        )

    return choose


safe.informs = True  # scores are gain in nats: replies report it, and --until-gain stops by it
