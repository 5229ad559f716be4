"""The contract's rules as checks that raise AssertionError; test_contract.py says what on.

Each has a negative control, a backend that it must reject.
"""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from support import block, counted, equal, signature, simulate
from uncertain.posteriors.base import Draws, Event, Gaussian, Info, Model, Posterior
from uncertain.posteriors.parts.unknowns import unknowns_of

SMALL = {
    "bonus": "bonus:capacity=20",
    "dropout": "dropout:capacity=20:particles=4",
    "ensemble": "ensemble:particles=6:capacity=20",
    "epinet": "epinet:capacity=20:particles=4:width=3:pairs=1:perturb=1",
    "exact": "exact:grid=12",
    "hmc": "hmc:particles=6:capacity=20:leapfrogs=2",
    "laplace": "laplace:capacity=20",
    "last-layer": "last-layer:capacity=20:batch=8:particles=4:rebuild=8",
    "mcmc": "mcmc:particles=6:steps=4",
    "point": "point:capacity=20",
    "smc": "smc:particles=12:capacity=20:steps=4",
    "subspace-ekf": "subspace-ekf:dimensions=8:particles=4",
    "svgd": "svgd:particles=6:capacity=20",
    "swag": "swag:capacity=20:particles=4:rank=3",
    "variational": "variational:capacity=20:samples=4",
}
"""Options that keep a check quick: a memory that 1 000 events fill, few particles."""
WARM = 6
"""Events seen before a check that needs a state with some history."""
ROUNDING = 1e-5
"""Largest difference that renormalising log weights in float32 may make."""


class Bound:
    """A posterior and a model, each function jitted and its traces counted."""

    def __init__(self, posterior: Posterior, model: Model) -> None:
        self.posterior, self.model = posterior, model
        self.init = jax.jit(posterior.init)
        self.absorb, self.absorb_traces = counted(posterior.absorb)
        self.refine, self.refine_traces = counted(posterior.refine)
        self.belief = jax.jit(posterior.belief)
        self.events = simulate(model, 64)

    def event(self, i: int) -> Event:
        """The `i`-th made-up event as a block of one, its time moving on for ever."""
        at = i % 64
        time = np.full(1, i + 1, np.float32)
        return block(self.events, at, at + 1)._replace(time=time, id=np.full(1, i, np.int32))

    def warm(self) -> Any:
        """A state after a few events and refines."""
        state = self.init(jax.random.key(1))
        for i in range(WARM):
            state = self.absorb(jax.random.key(10 + i), state, self.event(i))
            state, _ = self.refine(jax.random.key(100 + i), state)
        return state

    def seen(self, state: Any) -> Any:
        """The belief just after the warm events."""
        return self.belief(jax.random.key(2), state, jnp.float32(WARM))


def keeps_signature(bound: Bound) -> None:
    """absorb and refine return the tree, shapes, dtypes and weak types they were given."""
    state = bound.init(jax.random.key(1))
    given = signature(state)
    for i in range(2):
        state = bound.absorb(jax.random.key(i), state, bound.event(i))
        assert signature(state) == given, "absorb changed the state's signature"
        state, _ = bound.refine(jax.random.key(i), state)
        assert signature(state) == given, "refine changed the state's signature"


def never_retraces(bound: Bound, events: int = 1000) -> None:
    """A stream of any length compiles absorb and refine once."""
    state = bound.init(jax.random.key(1))
    bound.absorb_traces[0] = bound.refine_traces[0] = 0
    for i, key in enumerate(jax.random.split(jax.random.key(3), events)):
        state = bound.absorb(key, state, bound.event(i))
        state, _ = bound.refine(key, state)
    assert bound.absorb_traces[0] <= 1, f"absorb traced {bound.absorb_traces[0]} times"
    assert bound.refine_traces[0] <= 1, f"refine traced {bound.refine_traces[0]} times"


def ignores_masked(bound: Bound) -> None:
    """An event of weight 0, whatever it holds, leaves the belief alone, now and later."""
    state = bound.warm()
    nothing = jax.tree.map(np.zeros_like, bound.event(0))
    for fill in (1e6, np.nan):
        padding = nothing._replace(
            action=np.full_like(nothing.action, fill),
            observation=np.full_like(nothing.observation, fill),
            time=np.full_like(nothing.time, fill),
        )
        padded = bound.absorb(jax.random.key(4), state, padding)
        close(bound.seen(state), bound.seen(padded), f"a masked event of {fill}")
        after = bound.absorb(jax.random.key(5), state, bound.event(WARM))
        padded = bound.absorb(jax.random.key(5), padded, bound.event(WARM))
        close(bound.seen(after), bound.seen(padded), f"an event after one masked, of {fill},")


def close(one: Any, two: Any, what: str) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        message = f"{what} changed the belief"
        np.testing.assert_allclose(a, b, rtol=ROUNDING, atol=ROUNDING, err_msg=message)


def listens(bound: Bound) -> None:
    """An event of weight 1 changes the belief (else every other check is easy to pass)."""
    state = bound.warm()
    other = bound.absorb(jax.random.key(5), state, bound.event(WARM))
    other, _ = bound.refine(jax.random.key(5), other)
    for i in range(WARM + 1, WARM + 10):
        other = bound.absorb(jax.random.key(i), other, bound.event(i))
        other, _ = bound.refine(jax.random.key(i), other)
    assert not equal(bound.seen(state), bound.seen(other)), "events do not change the belief"


def reports(bound: Bound) -> None:
    """Info carries finite work, a healthy flag and scalar diagnostics of constant names."""
    state = bound.warm()
    names = None
    for i in range(2):
        _, info = bound.refine(jax.random.key(i), state)
        assert isinstance(info, Info)
        assert info.work.shape == (), "work is not a scalar"
        assert info.work >= 0, "work is negative"
        assert info.healthy.shape == (), "healthy is not a scalar"
        assert info.healthy.dtype == bool, "healthy is not a bool"
        assert info.healthy, "unhealthy on ordinary events"
        assert all(x.shape == () for x in info.diagnostics.values()), "a diagnostic is no scalar"
        assert names in (None, sorted(info.diagnostics)), "diagnostics change their names"
        names = sorted(info.diagnostics)


def notices_nan(bound: Bound) -> None:
    """A state that has turned NaN is reported as unhealthy; nothing raises."""

    def poison(x: Any) -> Any:
        return jnp.full_like(x, jnp.nan) if jnp.issubdtype(x.dtype, jnp.inexact) else x

    _, info = bound.refine(jax.random.key(1), jax.tree.map(poison, bound.warm()))
    assert not info.healthy, "a state of NaN is called healthy"


def believes(bound: Bound) -> None:
    """A finite belief of the right shape, its weights summing to 1, its covariance symmetric."""
    size = unknowns_of(bound.model).size
    for state in (bound.init(jax.random.key(1)), bound.warm()):
        belief = bound.seen(state)
        if isinstance(belief, Draws):
            assert belief.values.shape == (belief.log_weights.shape[0], size)
            assert np.all(np.isfinite(belief.values)), "draws are not finite"
            total = np.exp(np.asarray(belief.log_weights, float)).sum()
            # A sum of 10^4 float32 numbers of relative error 1e-7 each.
            assert abs(total - 1) < 1e-4, f"weights sum to {total}"
        else:
            assert isinstance(belief, Gaussian)
            assert belief.mean.shape == (size,)
            assert np.all(np.isfinite(belief.mean))
            covariance = np.asarray(belief.covariance, float)
            np.testing.assert_allclose(covariance, np.swapaxes(covariance, 1, 2), atol=1e-6)
            assert np.linalg.eigvalsh(covariance).min() > 0, "covariance is not positive"


def reuses_no_key(bound: Bound) -> None:
    """jax's own analysis finds no key that is consumed twice."""
    state = bound.warm()
    functions, key = bound.posterior, jax.random.key(1)
    with jax.debug_key_reuse(True):
        # Lambdas: a function traced before without the analysis would not be traced again.
        jax.jit(lambda k: functions.init(k)).trace(key)
        jax.jit(lambda k, s, e: functions.absorb(k, s, e)).trace(key, state, bound.event(WARM))
        jax.jit(lambda k, s: functions.refine(k, s)).trace(key, state)
        jax.jit(lambda k, s, t: functions.belief(k, s, t)).trace(key, state, jnp.float32(WARM))


def repeats(bound: Bound) -> None:
    """The same keys and events give the same state bit for bit."""
    assert equal(bound.warm(), bound.warm()), "the same keys gave different states"


CHECKS = (
    keeps_signature,
    believes,
    reports,
    listens,
    ignores_masked,
    notices_nan,
    repeats,
    reuses_no_key,
    never_retraces,
)


@lru_cache(maxsize=64)
def bind(posterior: Posterior, model: Model) -> Bound:
    """A `Bound` shared by all checks on one pair, so that each pair compiles once."""
    return Bound(posterior, model)
