"""Backends, a rule and a proposer written to cheat, as a user's file: `cheats.py:name`.

Each keeps the contract; test_gaming.py says which column finds it out.
"""

import multiprocessing

import jax
import jax.numpy as jnp
import numpy as np
from uncertain.decide.loop.core.rollout import AGENT, TRUTH, seed_key
from uncertain.decide.rules.base import Choice
from uncertain.posteriors.base import Gaussian, Posterior
from uncertain.posteriors.methods.laplace import Laplace, build
from uncertain.posteriors.parts.block_gaussian import factor_of
from uncertain.posteriors.parts.draws import uniform_draws
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.registry import build_posterior
from uncertain.streams.worlds.base import simulated_world

BUSY = 60
"""Products of matrices that hidden work consists of, some milliseconds."""


def changed(model, belief):
    """An honest exact backend of which decisions see something else."""
    honest = build(model, Laplace())
    return honest._replace(belief=lambda key, state, now: belief(honest.belief(key, state, now)))


def honest(model):
    return changed(model, lambda b: b)


def returns_prior(model):
    """Never learns, but looks like what was believed at the start."""
    mean, sd = unknowns_of(model).gaussian()
    start = Gaussian(jnp.asarray(mean), jnp.diag(jnp.square(jnp.asarray(sd)))[None])
    return changed(model, lambda b: start)


def constant(model):
    """Sure of the same thing whatever happens."""
    mean, sd = (jnp.asarray(x) for x in unknowns_of(model).gaussian())
    always = Gaussian(mean + 0.5 * sd, jnp.diag(jnp.square(0.1 * sd))[None])
    return changed(model, lambda b: always)


def overconfident(model, times: float = 10.0):
    """Right about where, ten times too sure."""
    return changed(model, lambda b: Gaussian(b.mean, b.covariance / times**2))


def half_variance(model):
    return changed(model, lambda b: Gaussian(b.mean, b.covariance / 2))


def same_noise(model, particles: int = 32):
    """Exact but for its keys: every draw is made with the same one, so that all are alike."""
    exact = build(model, Laplace())

    def belief(key, state, now):
        b = exact.belief(key, state, now)
        keys = jnp.broadcast_to(key, (particles,))
        root = jnp.linalg.cholesky(b.covariance[0])
        draws = jax.vmap(lambda k: b.mean + root @ jax.random.normal(k, b.mean.shape))(keys)
        return uniform_draws(draws)

    return exact._replace(belief=belief)


def same_key(model, particles: int = 32):
    """Chains whose every transition is made with the same key."""
    chains = build_posterior("hmc", model, {"particles": particles})
    return chains._replace(refine=lambda key, state: chains.refine(jax.random.key(0), state))


def busy(x):
    """`x`, some milliseconds later."""
    matrix = jnp.eye(192) + 1e-6 * jnp.mean(x)
    long = jax.lax.fori_loop(0, BUSY, lambda i, m: jnp.tanh(m @ matrix), matrix)
    return x + 0 * long[0, 0]  # nothing may be left out: the product could be no number


def hides_work(model):
    """Works for milliseconds in absorb, so that decisions look quick."""
    honest = build(model, Laplace())

    def absorb(key, state, events):
        state = honest.absorb(key, state, events)
        return state._replace(mean=busy(state.mean))

    return honest._replace(absorb=absorb)


def keyhole(model, seed: int = 0, runs: int = 200, width: float = 0.1):
    """Knows the public seed, makes every run's truth again and looks at it through noise.

    A run is told by the key that init is given. What it then believes is what Bayes would, had he
    looked through the same keyhole: the ranks of `calibrate` are even.
    """
    size = unknowns_of(model).size
    world = simulated_world(model)

    def known(run):
        key = seed_key(seed, run)
        mine = jax.random.key_data(jax.random.split(jax.random.fold_in(key, AGENT))[0])
        return mine, world.truth(world.init(jax.random.fold_in(key, TRUTH)))

    keys, truths = (np.asarray(x) for x in jax.jit(jax.vmap(known))(np.arange(runs)))
    noise = width * np.random.default_rng(0).normal(size=truths.shape)
    seen = (truths + noise).astype(truths.dtype)
    honest = build(model, Laplace())

    def init(key):
        same = jnp.all(jnp.asarray(keys) == jax.random.key_data(key)[None], axis=1)
        state = honest.init(key)
        # As one more look, at all unknowns at once, before the first event.
        gain = state.covariance[0] @ jnp.linalg.inv(state.covariance[0] + width**2 * jnp.eye(size))
        mean = state.mean + gain @ (jnp.asarray(seen)[jnp.argmax(same)] - state.mean)
        # At its start the state's factor is a diagonal, and so the covariance.
        covariance = state.covariance - (gain @ state.covariance[0])[None]
        found = jnp.any(same)
        return state._replace(
            mean=jnp.where(found, mean, state.mean),
            covariance=jnp.where(
                found, factor_of(jnp.linalg.cholesky(covariance)), state.covariance
            ),
        )

    return honest._replace(init=init)


def from_its_key(model):
    """Takes its own key for the truth's, and is sure of what that would have made."""
    honest = build(model, Laplace())
    unknowns = unknowns_of(model)

    def init(key):
        state = honest.init(key)
        return state._replace(mean=unknowns.sample(key, 1)[0], covariance=1e-4 * state.covariance)

    return honest._replace(init=init, absorb=lambda key, state, events: state)


def first(model):
    """A rule that always takes the first candidate."""

    def choose(key, belief, model, stats, candidates):
        scores = -jnp.arange(candidates.valid.shape[0], dtype=candidates.features.dtype)
        return Choice(jnp.zeros((), jnp.int32), (scores == 0).astype(scores.dtype), scores)

    return choose


def collapsed(model):
    """A proposer whose candidates are all the same: whatever is chosen is the best on offer."""

    def propose(key, draws, model, stats, count):
        return jnp.tile(model.design().sample(key, (1,)), (count, 1))

    return propose


def learns_if_judged(model):
    """Learns only if the key that starts it is one of many at once, as where gain is judged."""
    honest = build(model, Laplace())

    def init(key):
        judged = type(key).__name__ == "BatchTracer"
        return honest.init(key), jnp.asarray(judged)

    def absorb(key, state, events):
        inner, judged = state
        learnt = honest.absorb(key, inner, events)
        return jax.tree.map(lambda a, b: jnp.where(judged, a, b), learnt, inner), judged

    def refine(key, state):
        inner, info = honest.refine(key, state[0])
        return (inner, state[1]), info

    return Posterior(
        init, absorb, refine, lambda key, state, now: honest.belief(key, state[0], now)
    )


def learns_in_a_worker(model):
    """Learns only in a process that another one started, as where gain is judged by several."""
    whole = honest(model)
    if multiprocessing.parent_process():
        return whole
    return whole._replace(absorb=lambda key, state, events: state)


def every_second(model):
    """Learns every second event, in half of the time."""
    honest = build(model, Laplace())

    def absorb(key, state, events):
        inner, number = state
        learnt = honest.absorb(key, inner, events)
        return jax.tree.map(lambda a, b: jnp.where(number % 2, a, b), learnt, inner), number + 1

    def refine(key, state):
        inner, info = honest.refine(key, state[0])
        return (inner, state[1]), info

    return Posterior(
        lambda key: (honest.init(key), jnp.zeros((), jnp.int32)),
        absorb,
        refine,
        lambda key, state, now: honest.belief(key, state[0], now),
    )


MEMORY = {}
"""What was believed last, by the key that a run began with: for as long as the process lives."""


def remembers(model, cell: int = 1):
    """Begins each run with what a cell before it has learnt in that run, in the same process.

    cell: tells one cell of this backend from another.
    """
    honest = build(model, Laplace())
    shapes = jax.eval_shape(honest.init, jax.random.key(0))
    shapes = (shapes.mean, shapes.covariance)

    def note(key, mean, covariance):
        MEMORY[cell, np.asarray(key).tobytes()] = np.asarray(mean), np.asarray(covariance)

    def recall(key, mean, covariance):
        known = MEMORY.get((cell - 1, np.asarray(key).tobytes()), (mean, covariance))
        return tuple(np.asarray(x) for x in known)

    def init(key):
        data = jax.random.key_data(key)
        inner = honest.init(key)
        mean, covariance = jax.pure_callback(
            recall, shapes, data, inner.mean, inner.covariance, vmap_method="sequential"
        )
        return inner._replace(mean=mean, covariance=covariance), data

    def absorb(key, state, events):
        inner = honest.absorb(key, state[0], events)
        jax.debug.callback(note, state[1], inner.mean, inner.covariance)
        return inner, state[1]

    def refine(key, state):
        inner, info = honest.refine(key, state[0])
        return (inner, state[1]), info

    return Posterior(
        init, absorb, refine, lambda key, state, now: honest.belief(key, state[0], now)
    )
