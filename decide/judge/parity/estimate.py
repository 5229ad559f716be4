"""One backend on one static target: absorb all data, refine, and take the belief's moments.

Events come one at a time, with refine steps whenever their number has doubled; under a flat prior
only from twice as many events as unknowns on, since there may be no posterior before. A likelihood
that is one event comes in parts, whose weights double to a whole. So particles never meet all data
at once (Chopin 2002). Moments are averaged over the beliefs of the second half of the last refine
steps and reported run by run: their error is estimated from independent runs.

See also: moments.py for the rule of agreement.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array, Draws, Event, Gaussian, Posterior
from ....posteriors.errors import UsageError
from ....posteriors.parts.block_gaussian import gaussian_root
from ....posteriors.parts.unknowns import unknowns_of
from ....posteriors.registry import build_posterior, options_class, takes_option
from ....posteriors.targets.base import Target, target_events
from .moments import quantity_values

BELIEFS = 50
"""Beliefs that moments are averaged over."""
CAUTIOUS = 1e-3
"""First step of chains, in standard deviations of the start; it grows as steps are accepted."""
GAUSSIAN_DRAWS = 2048
"""Draws behind the moments of a Gaussian belief, whose quantities may be any function."""


@dataclass(frozen=True)
class Effort:
    """Size of a comparison."""

    runs: int = 16
    """Independent runs, at least 2."""
    refine: int = 400
    """Refine steps after the last event."""
    warm: int = 100
    """Refine steps after each doubling of the events."""
    parts: int = 8
    """Parts that a whole likelihood comes in."""
    particles: int | None = None
    """S, if the backend takes it."""
    seed: int = 0


class Schedule(NamedTuple):
    """Turns of a run, `[T, ...]`: arrays of NumPy, or of JAX inside a trace."""

    action: Any
    observation: Any
    weight: Any
    """Of the event; 0 for no event."""
    trips: Any
    """Refine steps after the event."""
    counts: Any
    """Whether the belief after them counts."""


class MomentEstimate(NamedTuple):
    """Moments of R runs and their cost."""

    first: np.ndarray
    """`[R, Q]`: mean of each run."""
    second: np.ndarray
    """`[R, Q]`: mean square of each run about a given centre."""
    work: float
    """Evaluations of one event's likelihood, a run."""
    refines: int
    """Refine steps a run."""
    unhealthy: float
    """Share of unhealthy steps among those that count."""
    seconds: float
    """A run."""
    compile: float
    """Seconds of compiling."""


def _schedule_of(target: Target, effort: Effort, refines: bool) -> Schedule:
    """The schedule of one run; without refine steps if the backend has none."""
    actions, observations = target_events(target)
    weight = np.ones(len(actions))
    if target.whole:
        halves = 0.5 ** np.arange(effort.parts - 1, 0, -1)
        weight = np.concatenate([[0.5 ** (effort.parts - 1)], halves])
        actions, observations = (
            np.repeat(x, effort.parts, axis=0) for x in (actions, observations)
        )
    number = np.arange(1, len(weight) + 1)
    doubled = (number & (number - 1)) == 0
    unknowns = unknowns_of(target)
    if target.whole:
        doubled = np.ones_like(doubled)
    elif not unknowns.proper:
        doubled &= number >= 2 * unknowns.size
    late = effort.refine // 2
    beliefs = min(BELIEFS, max(late, 1)) if refines else 1
    trips = np.where(doubled, effort.warm, 0)
    trips[-1] += effort.refine - late
    last = np.diff(np.linspace(0, late, beliefs + 1).astype(int))
    none = np.zeros((beliefs, *actions.shape[1:])), np.zeros((beliefs, *observations.shape[1:]))
    trips = np.concatenate([trips, last]) if refines else np.zeros(len(trips) + beliefs, int)
    return Schedule(
        np.concatenate([actions, none[0]]),
        np.concatenate([observations, none[1]]),
        np.concatenate([weight, np.zeros(beliefs)]),
        trips,
        np.arange(len(trips)) >= len(weight),
    )


def posterior_for(text: str, target: Target, effort: Effort) -> Posterior:
    """Build the backend with a memory of all events, and as many particles as asked for.

    text: spec of the backend.
    target: with its data.
    effort: size of the comparison.
    Raises: UsageError if the backend cannot handle the target.
    """
    events = effort.parts if target.whole else len(target_events(target)[0])
    extra: dict[str, Any] = {
        "capacity": events,
        "full": "forget",
        "particles": effort.particles,
    }
    if takes_option(text, "settle"):
        # Chains may yet have far to go, and where they start the slope may be a million times that
        # of the posterior: a long first step lands further out than it began, and is accepted.
        extra |= {"settle": effort.refine // 4, "step_size": CAUTIOUS}
    wanted = {name: x for name, x in extra.items() if x is not None and takes_option(text, name)}
    return build_posterior(text, target, wanted)


def estimate_moments(
    target: Target, text: str, effort: Effort, centre: np.ndarray
) -> MomentEstimate:
    """Run a backend several times and take its moments.

    target: with its data.
    text: spec of the backend.
    effort: size of the comparison.
    centre: `[Q]`, of the mean squares.
    Raises: UsageError if the backend cannot handle the target.
    """
    posterior = posterior_for(text, target, effort)
    turns = _schedule_of(target, effort, bool(options_class(text).refine))
    begun = time.perf_counter()
    keys = jax.random.split(jax.random.key(effort.seed), effort.runs)
    given = jax.tree.map(jnp.asarray, (turns, np.asarray(centre)))
    program = jax.jit(lambda keys, given: jax.lax.map(lambda k: run(k, *given), keys))

    def run(key: Array, turns: Schedule, centre: Array) -> Any:
        return _one_run(target, posterior, key, turns, centre)

    compiled = program.lower(keys, given).compile()
    ready = time.perf_counter()
    first, second, work, sick = (np.asarray(x, float) for x in compiled(keys, given))
    done = time.perf_counter()
    counted = max(int(turns.trips[turns.counts].sum()), 1)
    return MomentEstimate(
        first,
        second,
        float(work.mean()),
        int(turns.trips.sum()),
        float(sick.mean()) / counted,
        (done - ready) / effort.runs,
        ready - begun,
    )


def _one_run(
    target: Target, posterior: Posterior, key: Array, turns: Schedule, centre: Array
) -> tuple[Array, Array, Array, Array]:
    """(mean [Q], mean square about `centre` [Q], evaluations, unhealthy steps that count)."""
    kind = jnp.result_type(float)

    def turn(carry: Any, item: tuple[Array, Schedule]) -> tuple[Any, None]:
        state, first, second, work, sick = carry
        index, now = item
        absorb_key, refine_key, belief_key = jax.random.split(jax.random.fold_in(key, index), 3)
        event = Event(
            now.action.astype(kind),
            now.observation.astype(kind),
            jnp.zeros((), kind),
            index.astype(jnp.int32),
            now.weight.astype(kind),
        )
        state = posterior.absorb(absorb_key, state, jax.tree.map(lambda x: x[None], event))

        def step(i: Array, carry: Any) -> Any:
            state, work, sick = carry
            state, info = posterior.refine(jax.random.fold_in(refine_key, i), state)
            return state, work + info.work, sick + jnp.where(now.counts & ~info.healthy, 1.0, 0.0)

        state, work, sick = jax.lax.fori_loop(0, now.trips, step, (state, work, sick))

        def looked(_: None) -> tuple[Array, Array]:
            one, two = _belief_moments(target, posterior, belief_key, state, centre)
            return first + one, second + two

        first, second = jax.lax.cond(now.counts, looked, lambda _: (first, second), None)
        return (state, first, second, work, sick), None

    zeros, length = jnp.zeros_like(centre), turns.weight.shape[0]
    start = (
        posterior.init(jax.random.fold_in(key, length)),
        zeros,
        zeros,
        jnp.zeros(()),
        jnp.zeros(()),
    )
    rows = jnp.arange(length), turns
    (_, first, second, work, sick), _ = jax.lax.scan(turn, start, rows)
    beliefs = jnp.sum(turns.counts)
    return first / beliefs, second / beliefs, work, sick


def _belief_moments(
    target: Target, posterior: Posterior, key: Array, state: Any, centre: Array
) -> tuple[Array, Array]:
    """Mean `[Q]` and mean square about `centre` of the quantities under a belief."""
    look_key, draw_key = jax.random.split(key)
    belief = posterior.belief(look_key, state, jnp.zeros(()))
    if isinstance(belief, Gaussian):
        values, weights = _gaussian_draws(draw_key, belief), None
    elif isinstance(belief, Draws):
        values, weights = belief.values, jnp.exp(belief.log_weights)
    else:
        raise UsageError("a belief that only its own rule reads has no moments to compare")
    found = jax.vmap(lambda u: quantity_values(target, u))(values)
    shares = jnp.full(len(values), 1 / len(values)) if weights is None else weights
    return shares @ found, shares @ jnp.square(found - centre[None, :])


def _gaussian_draws(key: Array, belief: Gaussian) -> Array:
    """`[S, D]` draws of a block-diagonal normal, in pairs mirrored at its mean."""
    groups, width = belief.covariance.shape[:2]
    half = jax.random.normal(key, (GAUSSIAN_DRAWS // 2, groups, width), belief.mean.dtype)
    offsets = jnp.einsum("bij,sbj->sbi", gaussian_root(belief), half).reshape(
        GAUSSIAN_DRAWS // 2, -1
    )
    return belief.mean[None, :] + jnp.concatenate([offsets, -offsets])
