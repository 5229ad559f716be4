"""The contract: what an event, a model, a belief and a posterior are.

Not here: any inference method, any model, anything that chooses or loops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import jax
import jax.core
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import Distribution

Array = jax.Array
Params = dict[str, Array]


def printable(text: str) -> str:
    """The text on one line: line ends and other unprintable characters escaped."""
    if text.isprintable():
        return text
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(escaped)


class UsageError(Exception):
    """Something the user can put right; shown as one line, exit code 2.

    One line whatever it quotes: names in a damaged file may hold line ends or terminal codes.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class Event(NamedTuple):
    """One action done and the observation that followed.

    In a block every field gains a leading axis `[B, ...]`.

    action: `[action size]`, as the model's `actions` space lays it out.
    observation: the outcome's event shape, `[]` for scalar outcomes.
    time: `[]` seconds since the stream began.
    id: `[]` int32, the position in the stream; the user's own id stays on the host.
    weight: `[]` how many times the event counts; 0 masks padding out.
    """

    action: Array
    observation: Array
    time: Array
    id: Array
    weight: Array


class Draws(NamedTuple):
    """Weighted guesses in flat, unconstrained coordinates.

    values: `[S, D]`. log_weights: `[S]`, normalised (their exponentials sum to 1).
    """

    values: Array
    log_weights: Array


class Gaussian(NamedTuple):
    """A normal belief in flat, unconstrained coordinates, block diagonal.

    mean: `[D]`. covariance: `[B, b, b]` with `B b = D`; one block is a full covariance,
    `D` blocks of one a diagonal.
    """

    mean: Array
    covariance: Array


class Summary(NamedTuple):
    """What an amortised backend hands to its own rule, and nobody else reads."""

    value: Any


Belief = Draws | Gaussian | Summary


class Info(NamedTuple):
    """What one `refine` did.

    work: `[]` gradient or likelihood evaluations. healthy: `[]` bool, finite and accepted.
    diagnostics: the backend's own scalars, always the same names.
    """

    work: Array
    healthy: Array
    diagnostics: dict[str, Array]


Fade = Callable[[Array, Any, Array], Any]
"""`fade(key, state, factor [])`: the state with every past event counting `factor` times as much;
1 changes nothing, 0 leaves the prior."""


class Posterior(NamedTuple):
    """An inference method bound to a model: four pure functions.

    init(key) -> state, the prior.
    absorb(key, state, events) -> state, takes a block of events in, at a cost that does not
        grow with the events seen.
    refine(key, state) -> (state, Info), one unit of iterative work on no new data.
    belief(key, state, now) -> Belief, what decisions see, carried forward to `now` (seconds).

    They return the tree, shapes, dtypes and weak types they were given, as does `fade`, which only
    forgetting by a half-life needs (forgetting.py).
    """

    init: Callable[[Array], Any]
    absorb: Callable[[Array, Any, Event], Any]
    refine: Callable[[Array, Any], tuple[Any, Info]]
    belief: Callable[[Array, Any, Array], Belief]
    fade: Fade | None = None


class Span(NamedTuple):
    """Values from low to high that `tune` may try; `log`: evenly on a log scale."""

    low: float
    high: float
    log: bool = True


class Options:
    """What a posterior's options say of themselves. Subclass as a frozen dataclass.

    refine: refine steps an event in a bench unless told otherwise; on a stream at most one.
    learns_at_once: on a stream none, because `absorb` has already learnt all or nearly all.
    search: options worth tuning, each with a `Span` or a tuple of values to choose from.
    rule: the only rule that can read its belief, a `Summary`; None where the belief is one that
    every rule can read.
    """

    refine: ClassVar[int] = 1
    learns_at_once: ClassVar[bool] = False
    search: ClassVar[Mapping[str, Span | tuple[Any, ...]]] = {}
    rule: ClassVar[str | None] = None


@dataclass(frozen=True)
class Arms:
    """Actions that are one of `count` arms, seen with a context of `context` numbers.

    As an array: `[1 + context]`, the arm's index first.
    """

    count: int
    context: int = 0

    @property
    def size(self) -> int:
        return 1 + self.context


@dataclass(frozen=True)
class Vector:
    """Actions that are `size` numbers, between `low` and `high` where a grid is asked for."""

    size: int
    low: float = -3.0
    high: float = 3.0


class Model:
    """What the agent believes possible. Subclass as a frozen dataclass.

    `actions`, `prior` and `predict` are required, the other methods optional: a backend or rule
    that needs one asks `provides(model, name)` and refuses, naming both, where it is missing.
    """

    latent: tuple[str, ...] = ()
    """Names of the unknowns that move."""
    if TYPE_CHECKING:  # plain attributes when run; a subclass may set or compute them

        @property
        def actions(self) -> Arms | Vector:
            """The space that actions come from."""
            ...

        @property
        def blocks(self) -> tuple[tuple[int, ...], ...]:
            """Groups of flat coordinates that a proposal may change alone.

            Empty: a group for every named unknown.
            """
            ...

        @property
        def independent(self) -> int:
            """Number of equal, contiguous groups of coordinates independent a posteriori."""
            ...

        @property
        def head(self) -> tuple[str, ...]:
            """Names of the unknowns in which the outcome's predictor is linear: a last layer."""
            ...

        @property
        def anchors(self) -> tuple[str, ...]:
            """Names of the unknowns that only make a prior random: weights of a prior function.

            Backends that train every guess alone leave each at its own prior draw.
            """
            ...
    else:
        blocks = ()
        independent = 1
        head = ()
        anchors = ()

    def prior(self) -> dict[str, Distribution]:
        """A distribution for every unknown; its support decides the unconstrained coordinates."""
        raise NotImplementedError

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """The distribution of the next observation; its `log_prob` is the likelihood.

        params: constrained unknowns by name. action: `[action size]`.
        """
        raise NotImplementedError

    def init_stats(self) -> Any:
        """The running summary of no events."""
        return ()

    def update_stats(self, stats: Any, event: Event) -> Any:
        """The summary after one more event (weight 0 leaves it alone)."""
        return stats

    def dynamics(self, params: Params, action: Array, elapsed: Array) -> dict[str, Distribution]:
        """Optional: where each latent unknown goes in `elapsed` seconds."""
        raise NotImplementedError

    def linear(self, action: Array) -> tuple[Array, Array]:
        """Optional: `(x [D], scale [])` if the observation is Normal(x @ u, scale) exactly."""
        raise NotImplementedError

    def units(self) -> Any:
        """Optional: `[D]` whole numbers, the hidden unit that each flat coordinate leaves, -1 for
        none; what dropout silences together."""
        raise NotImplementedError

    def reward(self, action: Array, observation: Array) -> Array:
        """Optional: what greedy, ucb, thompson and regret need."""
        raise NotImplementedError

    def design(self) -> Distribution:
        """Optional: a distribution over actions, what "at random" means here."""
        raise NotImplementedError

    def coordinates(self) -> tuple[Any, ...]:
        """Optional: a NumPyro transform for every number of an action, from the real line to where
        it may lie; what a trained policy emits through. A sigmoid into the box unless given."""
        raise NotImplementedError

    def focus(self, key: Array, params: Params) -> Array:
        """Optional: an action likely to teach something if `params` is near the truth."""
        raise NotImplementedError


def provides(model: Model, name: str) -> bool:
    """Whether a model's class defines the optional method `name` itself."""
    return getattr(type(model), name) is not getattr(Model, name)


def example(model: Model) -> tuple[Params, Any, Array]:
    """Placeholder arguments of `predict`, for reading off shapes before anything runs."""
    return _example(model, jax.config.read("jax_enable_x64"))


@lru_cache(maxsize=64)
def _example(model: Model, x64: bool) -> tuple[Params, Any, Array]:
    import jax.numpy as jnp

    def make() -> tuple[Params, Any, Array]:
        prior = model.prior()
        keys = jax.random.split(jax.random.key(0), len(prior))
        named = zip(keys, prior.items(), strict=True)
        params = {name: _placeholder(key, d) for key, (name, d) in named}
        return params, model.init_stats(), jnp.zeros(model.actions.size)

    # Whoever asks first may be tracing; what is kept must be numbers all the same. One program,
    # because dozens of one operation each take longer to fetch than all of this to compute.
    with jax.core.eval_context():
        return jax.jit(make)()


def _placeholder(key: Array, d: Distribution) -> Array:
    """A value of an unknown, any will do; nobody can draw from a flat prior."""
    import jax.numpy as jnp

    if not isinstance(d, dist.ImproperUniform):
        return jnp.asarray(d.sample(key))
    onto = dist.biject_to(d.support)
    return onto(jnp.zeros(onto.inverse_shape(d.event_shape)))


def example_event(model: Model) -> Event:
    """An event of weight 0 with the model's shapes and dtypes."""
    return _example_event(model, jax.config.read("jax_enable_x64"))


@lru_cache(maxsize=64)
def _example_event(model: Model, x64: bool) -> Event:
    import jax.numpy as jnp

    given = example(model)
    shape = jax.eval_shape(lambda given: jnp.zeros(model.predict(*given).event_shape), given).shape
    real = jnp.result_type(float)
    with jax.core.eval_context():  # arrays of the host, which need no program to be made
        zero, position = jnp.asarray(np.zeros((), real)), jnp.asarray(np.zeros((), np.int32))
        return Event(given[2], jnp.asarray(np.zeros(shape, real)), zero, position, zero)


__all__ = [
    "Arms", "Array", "Belief", "Distribution", "Draws", "Event", "Fade", "Gaussian", "Info",
    "Model", "Options", "Params", "Posterior", "Span", "Summary", "UsageError", "Vector", "dist",
    "example", "example_event", "printable", "provides",
]  # fmt: skip
