"""Ranks of the truth among draws of a backend's belief, run by run.

In each run a truth is drawn from the prior, the agent learns from its events, and the truth is
ranked among draws of the belief: every unknown, and the log likelihood of the whole history. All
runs of a batch are one compiled program.

See also: rank_calibration.py for the test of the ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array, Draws, Gaussian, Model
from ....posteriors.errors import UsageError
from ....posteriors.parts.unknowns import unknowns_of
from ....streams.worlds.base import World
from ...loop.core.program_cache import cached_program
from ...loop.core.rollout import build_rollout, seed_key
from ...loop.core.step import Agent
from ...rules.base import as_draws
from ..reference.likelihood import history_log_likelihood
from .experiment import Cell
from .quality import JUDGE, agent_and_world

RANKS = 11
"""Folded into the judge's key of a run; gain, joint and fidelity use others."""
WIDTH = 64
"""Runs a call."""
MOST = 64
"""Unknowns ranked; of more, as many that stand evenly apart."""
LEAST = 5
"""Expected runs a bin below which no chi-square is trusted."""
LIKELIHOOD = "log likelihood"


@dataclass(frozen=True)
class RankSettings:
    """Settings of the test."""

    draws: int = 15
    """L."""
    bins: int = 16
    """Their number divides L + 1."""
    thin: int = 10
    """Refine steps between two looks at a belief of fewer draws than L."""
    settle: int = 0
    """Refine steps after the last event."""
    level: float = 1e-4
    """Probability that a right backend fails, over all its quantities (Bonferroni: each is tested
    at level / Q)."""


class Ranks(NamedTuple):
    """Ranks of the truth in each run."""

    names: tuple[str, ...]
    """Of the Q quantities."""
    ranks: np.ndarray
    """`[N, Q]`."""
    ties: float
    """Share of draws of continuous unknowns that equal the truth to the last bit."""
    failures: int
    """Runs whose belief was not finite."""


def rank_truth(key: Array, truth: Array, draws: Array) -> Array:
    """Rank the truth among draws; equal draws count as below with equal chances of all places.

    key: random key for ties.
    truth: `[Q]`.
    draws: `[L, Q]`; NaN is below everything.
    Returns: `[Q]` int32, number of draws below the truth.
    """
    low = jnp.finfo(draws.dtype).min
    clean = jnp.where(jnp.isnan(draws), low, jnp.maximum(draws, low))
    own = jnp.where(jnp.isnan(truth), low, jnp.maximum(truth, low))
    below = jnp.sum(clean < own[None, :], axis=0)
    ties = jnp.sum(clean == own[None, :], axis=0)
    return (below + jax.random.randint(key, own.shape, 0, ties + 1)).astype(jnp.int32)


def take_draws(key: Array, draws: Draws, count: int, distinct: bool) -> Array:
    """Take draws from a belief by weight, in random order.

    key: random key.
    draws: the belief.
    count: number of draws to take.
    distinct: whether to take them without replacement if all weigh the same (chains, members): a
        chain counted twice would be one draw less than it seems.
    Returns: `[count, D]`.
    """
    size = draws.values.shape[0]
    pick_key, shuffle_key = jax.random.split(key)
    picked = jax.random.categorical(pick_key, draws.log_weights, shape=(count,))
    if distinct and size >= count:
        shuffled = jax.random.permutation(shuffle_key, size)[:count]
        heaviest, lightest = jnp.max(draws.log_weights), jnp.min(draws.log_weights)
        picked = jnp.where(heaviest - lightest < 1e-4, shuffled, picked)
    return draws.values[picked]


def check_rank_settings(asked: RankSettings, runs: int) -> None:
    """Check that the bins fit.

    asked: settings of the test.
    runs: their number.
    Raises: UsageError if the bins do not divide the ranks evenly, or there are too few runs.
    """
    if asked.bins < 2 or (asked.draws + 1) % asked.bins:
        raise UsageError(
            f"bins = {asked.bins} do not divide the {asked.draws + 1} ranks of {asked.draws} draws "
            "into equal parts; choose draws + 1 a multiple of bins"
        )
    if runs < LEAST * asked.bins:
        raise UsageError(
            f"runs = {runs}: {asked.bins} bins need {LEAST * asked.bins} at least, "
            f"{LEAST} in each; give more runs or fewer bins"
        )
    if not 0 < asked.level < 1:
        raise UsageError(f"level = {asked.level}: must lie between 0 and 1")


def prepare_ranking(cell: Cell) -> tuple[Agent, World]:
    """Build the agent and world of a cell whose truth can be ranked.

    cell: specs and sizes.
    Returns: both.
    Raises: UsageError if the world has no truth or the belief has no draws to rank it among.
    """
    agent, world = agent_and_world(cell)
    if world.model is None or world.truth is None:
        raise UsageError(f"world {cell.world} has no truth that could be ranked among draws")
    sizes = unknowns_of(agent.model), unknowns_of(world.model)
    if sizes[0].size != sizes[1].size or sizes[0].discrete != sizes[1].discrete:
        raise UsageError(
            f"model {cell.model} has other unknowns than world {cell.world}: "
            "there is nothing to rank them among"
        )
    _believed(agent)
    return agent, world


def _believed(agent: Agent) -> tuple[Any, int]:
    """The shape of an agent's belief, and its number of draws, 0 for a Gaussian."""

    def look(key: Array) -> Any:
        return agent.posterior.belief(key, agent.posterior.init(key), jnp.zeros(()))

    belief = jax.eval_shape(look, jax.random.key(0))
    if isinstance(belief, Draws):
        return belief, belief.values.shape[0]
    if isinstance(belief, Gaussian):
        return belief, 0
    raise UsageError("this posterior's belief is a summary, which holds no draws to rank among")


def ranked_quantities(model: Model) -> tuple[tuple[str, ...], np.ndarray]:
    """List the quantities that are ranked.

    model: of the agent.
    Returns: their names, the log likelihood last, and the coordinates of the unknowns among them.
    """
    unknowns = unknowns_of(model)
    names = []
    for name in unknowns.prior:
        span = unknowns.span(name)
        size = span.stop - span.start
        names += [name] if size == 1 else [f"{name}[{i}]" for i in range(size)]
    chosen = np.unique(np.linspace(0, unknowns.size - 1, min(unknowns.size, MOST)).astype(int))
    return (*(names[i] for i in chosen), LIKELIHOOD), chosen


def rank_runs(
    cell: Cell, asked: RankSettings, tick: Callable[[float], None] = lambda share: None
) -> Ranks:
    """Rank the truth in each run of a cell; a run depends on the seed and its own number only.

    cell: specs and sizes.
    asked: settings of the test.
    tick: called with the share that is finished.
    Raises: UsageError if the truth cannot be ranked or the settings do not fit.
    """
    check_rank_settings(asked, cell.seeds)
    agent, world = prepare_ranking(cell)
    names, _ = ranked_quantities(agent.model)
    run = compile_ranks(agent, world, cell.steps, asked.settle, asked.draws, asked.thin)
    width = -(-cell.seeds // -(-cell.seeds // WIDTH))
    parts = []
    for first in range(0, cell.seeds, width):
        # The last batch is filled up, so that one program serves all.
        numbers = np.arange(first, first + width)
        parts.append(jax.tree.map(np.asarray, run(np.asarray(cell.seed), numbers)))
        tick(min(first + width, cell.seeds) / cell.seeds)
    found, ties, well = (np.concatenate(x)[: cell.seeds] for x in zip(*parts, strict=True))
    share = float(ties.sum()) / (len(found) * asked.draws * (len(names) - 1))
    return Ranks(names, found, share, int((~well).sum()))


@lru_cache(maxsize=32)
def compile_ranks(
    agent: Agent, world: World, steps: int, settle: int, draws: int, thin: int
) -> Callable[[Any, Any], tuple[Any, Any, Any]]:
    """Compile the ranks of many runs, once an agent.

    agent: that learns.
    world: that answers.
    steps: events a run.
    settle: refine steps after the last event.
    draws: L.
    thin: refine steps between two looks at a belief of fewer draws than L.
    Returns: `(seed, numbers [N]) -> (ranks [N, Q], ties [N], healthy [N])`.
    """
    once = build_rollout(agent, world, steps, settle, False)
    model = agent.model
    _, chosen = ranked_quantities(model)
    _, size = _believed(agent)
    looks = -(-draws // size) if size else 1
    continuous = not unknowns_of(model).discrete
    posterior = agent.posterior

    def sampled(key: Array, state: Any, now: Array) -> Array:
        """`[L, D]` of the final belief, or of several looks at it, `thin` refine steps apart."""
        take_key, look_key = jax.random.split(key)
        if not size:
            belief_key, draw_key = jax.random.split(look_key)
            belief = posterior.belief(belief_key, state, now)
            return as_draws(draw_key, belief, draws).values

        def look(state: Any, key: Array) -> tuple[Any, Draws]:
            belief_key, refine_key = jax.random.split(key)
            belief = posterior.belief(belief_key, state, now)
            keys = jax.random.split(refine_key, thin)
            state = jax.lax.scan(lambda s, k: (posterior.refine(k, s)[0], None), state, keys)[0]
            assert isinstance(belief, Draws)
            return state, belief

        if looks == 1:
            belief = posterior.belief(look_key, state, now)
            assert isinstance(belief, Draws)
        else:
            seen = jax.lax.scan(look, state, jax.random.split(look_key, looks))[1]
            values = seen.values.reshape(looks * size, -1)
            belief = Draws(values, seen.log_weights.reshape(-1) - np.log(looks))
        return take_draws(take_key, belief, draws, distinct=continuous)

    def one(seed: Array, number: Array) -> tuple[Array, Array, Array]:
        state, trace = once(seed_key(seed, number))
        judge = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), JUDGE), RANKS)
        draw_key, tie_key = jax.random.split(jax.random.fold_in(judge, number))
        values = sampled(draw_key, state, jnp.asarray(steps - 1.0))
        truth = trace.truth[-1].astype(values.dtype)
        both = jnp.concatenate([truth[None], values])
        logs = history_log_likelihood(model, both.T, trace.action, trace.observation)
        table = jnp.concatenate([both[:, chosen].astype(logs.dtype), logs[:, None]], axis=1)
        same = jnp.sum(values[:, chosen] == truth[None, chosen]) if continuous else jnp.zeros(())
        well = jnp.all(jnp.isfinite(table[1:, :-1])) & jnp.all(trace.healthy)
        return rank_truth(tie_key, table[0], table[1:]), same, well

    name = None
    if agent.name and world.name:
        name = f"ranks {agent.name} in {world.name} {steps} {settle} {draws} {thin}"
    return jax.jit(cached_program(jax.vmap(one, in_axes=(None, 0)), name))
