"""The judge's own inference event by event, independent of the backend under test.

Exact if the unknowns can be enumerated or summed, or if everything is linear and normal (then in
float64 NumPy, with moving unknowns included); otherwise many particles with many moves.

See also: ../measures/gain.py for bounds, ../measures/fidelity.py for scores.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array, Draws, Model, provides
from ....posteriors.methods.exact import Exact
from ....posteriors.methods.exact import build as build_exact
from ....posteriors.methods.smc import SMC
from ....posteriors.methods.smc import build as build_smc
from ....posteriors.parts.unknowns import log_likelihood, unknowns_of
from ....posteriors.parts.vmap_last import vmap_last
from ...loop.core.program_cache import cached_program, model_name
from ...rules.information import expected_gain
from .likelihood import unit_event
from .summed import is_summed, sum_history

PARTICLES = 2048
MOVES = 10
BATCH = 8
"""Histories a call."""
ENUMERABLE = 20_000
WIDEST = 256
"""Unknowns up to which particles can be a reference; a network's posterior is out of reach."""


class Reference(NamedTuple):
    """Reference inference along a history."""

    log_marginal: Any
    """`[T]`: log p(y_t | h_<t) of the observations."""
    probe_log_marginal: Any
    """`[T]`: the same of the observations of the probes."""
    gains: Any
    """`[T, A]` nats: gain of offered candidates; size 0 unless requested."""
    draws: Draws | None
    """Final reference belief; None if linear and Gaussian."""


def reference_kind(model: Model) -> str:
    """Return the kind of reference for a model.

    It is "linear", "enumerated", "summed", "sampled" or "none".

    model: any.
    """
    unknowns = unknowns_of(model)
    if provides(model, "linear") and unknowns.normal:
        return "linear"
    if model.latent:
        return "none"
    if unknowns.enumerate(ENUMERABLE) is not None:
        return "enumerated"
    if is_summed(model):
        return "summed"
    if unknowns.space is not None:
        return "none"
    return "sampled" if unknowns.size <= WIDEST else "none"


@lru_cache(maxsize=32)
def _sampler(model: Model, steps: int, with_gains: bool, particles: int):
    """A jitted, vmapped reference run over histories of `steps` events."""
    if reference_kind(model) == "summed":
        return _summed(model, with_gains)
    enumerated = reference_kind(model) == "enumerated"
    if enumerated:
        posterior, moves = build_exact(model, Exact()), 0
    else:
        posterior, moves = build_smc(model, SMC(particles, capacity=steps)), MOVES

    def run(seed: Array, actions, observations, probes, probe_observations, features):
        key = judge_key(seed)

        def turn(carry: tuple[Any, Any], row: Any):
            state, stats = carry
            index, action, observation, probe, probe_observation, offered = row
            absorb_key, refine_key, belief_key = jax.random.split(jax.random.fold_in(key, index), 3)
            draws = posterior.belief(belief_key, state, index.astype(jnp.result_type(float)))
            assert isinstance(draws, Draws)

            def marginal(action: Array, observation: Array) -> Array:
                logs = vmap_last(
                    lambda u: log_likelihood(model, u, stats, action, observation), draws.values.T
                )
                return jax.nn.logsumexp(draws.log_weights + logs)

            gains = (
                expected_gain(belief_key, model, draws, stats, offered)
                if with_gains
                else jnp.zeros(0)
            )
            out = marginal(action, observation), marginal(probe, probe_observation), gains
            event = unit_event(action, observation)
            state = posterior.absorb(absorb_key, state, jax.tree.map(lambda x: x[None], event))
            if moves:
                state = jax.lax.scan(
                    lambda s, k: (posterior.refine(k, s)[0], None),
                    state,
                    jax.random.split(refine_key, moves),
                )[0]
            return (state, model.update_stats(stats, event)), out

        start = posterior.init(jax.random.fold_in(key, steps)), model.init_stats()
        rows = jnp.arange(steps), actions, observations, probes, probe_observations, features
        (state, _), out = jax.lax.scan(turn, start, rows)
        draws = posterior.belief(key, state, jnp.zeros(()))
        assert isinstance(draws, Draws)
        return Reference(*out, draws)

    # One history after another: thousands of particles fill the cache by themselves.
    many = cached_program(
        lambda *histories: jax.lax.map(lambda h: run(*h), histories),
        judge_program_name(model, f"reference {steps} {with_gains} {particles}"),
    )
    return jax.jit(many)


def _summed(model: Model, with_gains: bool):
    """The same over a space that is summed."""

    def run(seed: Array, *history: Any) -> Reference:
        return Reference(*sum_history(model, judge_key(seed), with_gains, *history))

    many = cached_program(
        lambda *histories: jax.lax.map(lambda h: run(*h), histories),
        judge_program_name(model, f"reference summed {with_gains}"),
    )
    return jax.jit(many)


def judge_program_name(model: Model, purpose: str) -> str | None:
    """Return the name under which a program of the judge is cached.

    model: used by the program.
    purpose: of the program, with its sizes.
    Returns: the name; None if the model has no name.
    """
    name = model_name(model)
    return f"{purpose} {name}" if name else None


def compute_reference(
    model: Model,
    key: Array,
    actions: np.ndarray,
    observations: np.ndarray,
    probes: np.ndarray,
    probe_observations: np.ndarray,
    features: np.ndarray | None = None,
    particles: int = PARTICLES,
) -> Reference:
    """Run the reference along N histories.

    model: of the world.
    key: random key.
    actions: `[N, T, size]`.
    observations: `[N, T, ...]`.
    probes: actions not taken, `[N, T, size]`.
    probe_observations: their observations, `[N, T, ...]`.
    features: candidates to compute reference gains of, `[N, T, A, size]`; None for no gains.
    particles: of the sampled kind; with more, the mode of the truth is lost less often.
    Returns: every field has a leading axis N.
    """
    if reference_kind(model) == "linear":
        return _linear(model, actions, observations, probes, probe_observations, features)
    count, steps = actions.shape[:2]
    offered = features if features is not None else np.zeros((count, steps, 0, actions.shape[2]))
    run = _sampler(model, steps, features is not None, particles)
    inputs = judge_seeds(key, count), actions, observations, probes, probe_observations, offered
    return run_in_batches(run, inputs, count)


def judge_seeds(key: Array, count: int) -> np.ndarray:
    """Draw the bits from which a key is made for each history.

    key: random key.
    count: number of histories.
    Returns: `[count, 4]` on the host, where rows are selected.
    """
    return np.asarray(_bits(key, count))


@partial(jax.jit, static_argnums=1)
def _bits(key: Array, count: int) -> Array:
    return jax.random.bits(key, (count, 4), jnp.uint32)


def judge_key(seed: Array) -> Array:
    """Make a key of the faster generator: results need not agree across executions.

    seed: bits `[4]`.
    """
    return jax.random.wrap_key_data(seed, impl="rbg")


def run_in_batches(
    run: Callable[..., Any], inputs: tuple[Any, ...], count: int, size: int = BATCH
) -> Any:
    """Call a program over the leading axis of its inputs, with batches of equal length.

    run: program that takes batches.
    inputs: pytrees of arrays `[count, ...]`.
    count: number of rows.
    size: largest number of rows a call.
    Returns: the results, `[count, ...]` on the host.
    """
    parts = []
    size = -(-count // -(-count // size))
    for start in range(0, count, size):
        # The last call is filled up with early rows, so that one program serves all.
        index = np.arange(start, start + size) % count
        rows = jax.tree.map(lambda x, index=index: x[index], inputs)
        parts.append(jax.tree.map(np.asarray, run(*rows)))
    return jax.tree.map(lambda *x: np.concatenate(x)[:count], *parts)


def _linear(model, actions, observations, probes, probe_observations, features) -> Reference:
    """Kalman filters in float64, one a history, times being the step indices."""
    design = jax.jit(jax.vmap(model.linear))
    unknowns = unknowns_of(model)
    mean0, sd0 = unknowns.gaussian()
    motion = _motion(model)

    def rows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = jnp.asarray(x.reshape(-1, x.shape[-1]), jnp.result_type(float))
        a, b = design(flat)
        a, b = np.asarray(a, float), np.asarray(b, float)
        return a.reshape(*x.shape[:-1], -1), b.reshape(x.shape[:-1])

    x, noise = rows(actions)
    px, pnoise = rows(probes)
    fx, fnoise = rows(features) if features is not None else (None, None)
    out, aside, gains = [], [], []
    for n in range(len(actions)):
        mean, cov = mean0.astype(float), np.diag(np.square(sd0.astype(float)))
        line, probe_line, gain_line = [], [], []
        for t in range(actions.shape[1]):
            if t:
                mean, cov = motion(mean, cov)
            line.append(_log_normal(mean, cov, x[n, t], noise[n, t], observations[n, t]))
            probe_line.append(
                _log_normal(mean, cov, px[n, t], pnoise[n, t], probe_observations[n, t])
            )
            if fx is not None and fnoise is not None:
                spread = np.einsum("ai,ij,aj->a", fx[n, t], cov, fx[n, t])
                gain_line.append(0.5 * np.log1p(spread / np.square(fnoise[n, t])))
            pushed = cov @ x[n, t]
            total = x[n, t] @ pushed + noise[n, t] ** 2
            mean = mean + pushed * (observations[n, t] - x[n, t] @ mean) / total
            cov = cov - np.outer(pushed, pushed) / total
        out.append(line)
        aside.append(probe_line)
        gains.append(gain_line)
    return Reference(np.asarray(out), np.asarray(aside), np.asarray(gains), None)


def _log_normal(mean: Any, cov: Any, x: Any, scale: Any, y: Any) -> float:
    """Log density of `y` under Normal(x @ mean, x cov x' + scale^2)."""
    variance = x @ cov @ x + scale * scale
    return -0.5 * ((y - x @ mean) ** 2 / variance + np.log(2 * np.pi * variance))


def _motion(model: Model):
    """One second of the model's linear dynamics on a float64 mean and covariance."""
    if not model.latent:
        return lambda mean, cov: (mean, cov)
    unknowns = unknowns_of(model)
    action = jnp.zeros(model.actions.size)

    def step(u: Array) -> tuple[Array, Array]:
        moved = model.dynamics(unknowns.constrain(u), action, jnp.ones(()))
        mean, variance = u, jnp.zeros_like(u)
        for name, d in moved.items():
            span = unknowns.span(name)
            mean = mean.at[span].set(jnp.ravel(d.mean))
            variance = variance.at[span].set(jnp.ravel(d.variance))
        return mean, variance

    start = jnp.zeros(unknowns.size)
    offset, variance = (np.asarray(v, float) for v in step(start))
    slope = np.asarray(jax.jacfwd(lambda u: step(u)[0])(start), float)
    return lambda mean, cov: (offset + slope @ mean, slope @ cov @ slope.T + np.diag(variance))
