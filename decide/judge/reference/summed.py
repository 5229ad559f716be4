"""The judge's exact reference over a space of candidates that can be summed.

The evidence of a history is the sum over all objects, so that the probability of each observation
given the past is a difference of two such sums.
See also: online.py, which asks for it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array, Draws, Model, provides
from ....posteriors.errors import UsageError
from ....posteriors.parts.draws import uniform_draws
from ....posteriors.parts.unknowns import unknowns_of
from ....posteriors.spaces.base import has_ability
from ...rules.information import expected_gain
from .likelihood import unit_event

DRAWS = 512
"""Independent draws for gains of candidates, and of the final belief."""


@lru_cache(maxsize=64)
def is_summed(model: Model) -> bool:
    """Test whether a model's space can be summed exactly.

    model: any model.
    """
    space = unknowns_of(model).space
    if space is None or not has_ability(space, "exact sums"):
        return False
    if not (provides(model, "local_scores") and provides(model, "common_evidence")):
        return False
    try:
        jax.eval_shape(lambda: space.sum_local(model.local_scores(model.init_stats())))
    except UsageError:
        return False
    return True


def log_evidence(model: Model, stats: Any) -> tuple[Array, Any]:
    """Compute the log evidence of all events, `[]` nats, and the sums behind it.

    model: over a space that can be summed.
    stats: its statistics of the events.
    """
    space = unknowns_of(model).space
    assert space is not None
    sums = space.sum_local(model.local_scores(stats))
    return sums[0] + model.common_evidence(stats), sums


def sum_history(
    model: Model,
    key: Array,
    with_gains: bool,
    actions: Array,
    observations: Array,
    probes: Array,
    probe_observations: Array,
    features: Array,
) -> tuple[Array, Array, Array, Draws]:
    """Sum along one history.

    model: over a space that can be summed.
    key: for draws.
    with_gains: whether to compute the gains of the candidates.
    actions: `[T, size]`.
    observations: `[T, ...]`.
    probes: actions not taken, `[T, size]`.
    probe_observations: their observations, `[T, ...]`.
    features: candidates, `[T, A, size]`.

    Returns: as `online.Reference`.
    """
    space = unknowns_of(model).space
    assert space is not None

    def turn(stats: Any, row: tuple[Array, ...]) -> tuple[Any, tuple[Array, Array, Array]]:
        index, action, observation, probe, probe_observation, offered = row
        before, sums = log_evidence(model, stats)
        gains = jnp.zeros(0)
        if with_gains:
            draw_key, gain_key = jax.random.split(jax.random.fold_in(key, index))
            draws = uniform_draws(space.draw_local(draw_key, sums, DRAWS))
            gains = expected_gain(gain_key, model, draws, stats, offered)
        aside = model.update_stats(stats, unit_event(probe, probe_observation))
        stats = model.update_stats(stats, unit_event(action, observation))
        probed = log_evidence(model, aside)[0] - before
        return stats, (log_evidence(model, stats)[0] - before, probed, gains)

    steps = np.arange(actions.shape[0], dtype=np.int32)
    rows = jnp.asarray(steps), actions, observations, probes, probe_observations, features
    stats, out = jax.lax.scan(turn, model.init_stats(), rows)
    sums = log_evidence(model, stats)[1]
    final = space.draw_local(jax.random.fold_in(key, len(steps)), sums, DRAWS)
    return (*out, uniform_draws(final))
