"""The contract: events, models, beliefs, posteriors and the methods that build them.

See also: registry.py for names, contract.py for checks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpyro.distributions as dist
from numpyro.distributions import Distribution

from .options import Options, Span

Array = jax.Array
Params = dict[str, Array]


class Event(NamedTuple):
    """One action and the observation that followed; a block adds a leading axis `[B, ...]`.

    action: `[action size]`, laid out as in the model's `actions`.
    observation: of the outcome's event shape, `[]` for scalars.
    time: `[]`, seconds since the stream began.
    id: `[]` int32, position in the stream; the user's own id stays on the host.
    weight: `[]`, how many times the event counts; 0 masks padding, whose numbers may be NaN.
    """

    action: Array
    observation: Array
    time: Array
    id: Array
    weight: Array


class Draws(NamedTuple):
    """Weighted draws in flat, unconstrained coordinates.

    values: `[S, D]`.
    log_weights: `[S]`, normalised.
    """

    values: Array
    log_weights: Array


class Gaussian(NamedTuple):
    """A normal belief in flat, unconstrained coordinates, block diagonal.

    mean: `[D]`.
    covariance: `[B, b, b]` with `B b = D`; one block is a full covariance, D blocks a diagonal.
    root: `[B, b, b]`, lower triangles, `covariance = root @ root'`; keeps what its digits lose.
    """

    mean: Array
    covariance: Array
    root: Array | None = None


class Summary(NamedTuple):
    """An amortised belief, of which only the method's own rule reads the content `value`."""

    value: Any


Belief = Draws | Gaussian | Summary


class Info(NamedTuple):
    """Report of one `refine`.

    work: `[]`, gradient or likelihood evaluations.
    healthy: `[]` bool, finite and accepted; False on any NaN.
    diagnostics: scalars `[]` of the method's own, always the same names.
    """

    work: Array
    healthy: Array
    diagnostics: dict[str, Array]


Fade = Callable[[Array, Any, Array], Any]
"""`fade(key, state, factor []) -> state`: past events count `factor` times; 0 leaves the prior."""


class Posterior(NamedTuple):
    """An inference method bound to a model: pure functions.

    All of them return the tree, shapes, dtypes and weak types that they were given.

    init: `(key) -> state`, the prior.
    absorb: `(key, state, events) -> state`, a block more, at a cost that does not grow with time.
    refine: `(key, state) -> (state, Info)`, one unit of iterative work without new data.
    belief: `(key, state, now []) -> Belief`, the input of decisions, carried forward to `now`
        (seconds).
    fade: `(key, state, factor []) -> state`, for a half-life; None if impossible.
    """

    init: Callable[[Array], Any]
    absorb: Callable[[Array, Any, Event], Any]
    refine: Callable[[Array, Any], tuple[Any, Info]]
    belief: Callable[[Array, Any, Array], Belief]
    fade: Fade | None = None


class Method(NamedTuple):
    """An inference method as the registry lists it.

    options: its options, which also hold the defaults of refine, work on a stream and search.
    build: `(model, options) -> Posterior`; raises UsageError for a model that it cannot handle.
    """

    options: type[Options]
    build: Callable[[Any, Any], Posterior]


@dataclass(frozen=True)
class Arms:
    """Actions that are one of a number of arms, as an array `[1 + context]`, the index first.

    count: number of arms.
    context: numbers that describe a decision, the same for all arms.
    """

    count: int
    context: int = 0

    @property
    def size(self) -> int:
        """Numbers in an action."""
        return 1 + self.context


@dataclass(frozen=True)
class Vector:
    """Actions that are vectors of numbers.

    size: numbers in an action.
    low, high: bounds of each, for proposers on a grid.
    """

    size: int
    low: float = -3.0
    high: float = 3.0


class Model:
    """A model of the observations: subclass it as a frozen dataclass.

    `actions`, `prior` and `predict` are required, the other methods optional: a method or rule that
    needs one asks `provides(model, name)` and refuses the model, naming both, if it is missing.
    """

    latent: tuple[str, ...] = ()
    """Names of the unknowns that move."""
    if TYPE_CHECKING:  # plain attributes when run; a subclass may set or compute them

        @property
        def actions(self) -> Arms | Vector:
            """The space of actions."""
            ...

        @property
        def blocks(self) -> tuple[tuple[int, ...], ...]:
            """Groups of coordinates that a proposal may change alone; empty: one an unknown."""
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
            """Names of unknowns that only randomise a prior function: each draw keeps its own."""
            ...
    else:
        blocks = ()
        independent = 1
        head = ()
        anchors = ()

    def prior(self) -> dict[str, Distribution]:
        """Return a distribution for every unknown; its support decides the coordinates."""
        raise NotImplementedError

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Return the distribution of the next observation; its `log_prob` is the likelihood.

        params: constrained unknowns by name.
        stats: the running statistics of the events so far.
        action: `[action size]`.
        """
        raise NotImplementedError

    def init_stats(self) -> Any:
        """Return the running statistics of no events."""
        return ()

    def update_stats(self, stats: Any, event: Event) -> Any:
        """Return the statistics after one more event; weight 0 leaves them unchanged.

        stats: before the event.
        event: the event.
        """
        return stats

    def dynamics(self, params: Params, action: Array, elapsed: Array) -> dict[str, Distribution]:
        """Optional: return the distribution of each latent unknown after some time.

        params: constrained unknowns by name.
        action: `[action size]`.
        elapsed: `[]`, seconds.
        """
        raise NotImplementedError

    def log_marginal(self, params: Params, stats: Any) -> Array:
        """Optional: return log p(all events | unknowns), `[]` nats, from the statistics alone.

        Without rounding it is the sum of the log probabilities that `predict` gave the events, in
        any order; methods that search a space (spaces/) need it.

        params: unknowns by name.
        stats: the running statistics of all events.
        """
        raise NotImplementedError

    def local_scores(self, stats: Any) -> Array:
        """Optional: return the parts of which `log_marginal` is a sum, as the space reads them.

        stats: the running statistics of all events.
        """
        raise NotImplementedError

    def common_evidence(self, stats: Any) -> Array:
        """Optional: return what `log_marginal` has beside the local scores, `[]` nats.

        stats: the running statistics of all events.
        """
        raise NotImplementedError

    def linear(self, action: Array) -> tuple[Array, Array]:
        """Optional: return `(x [D], scale [])` if the observation is exactly Normal(x @ u, scale).

        action: `[action size]`.
        """
        raise NotImplementedError

    def units(self) -> Any:
        """Optional: return `[D]` int, the hidden unit that each coordinate leaves, -1 for none."""
        raise NotImplementedError

    def reward(self, action: Array, observation: Array) -> Array:
        """Optional: return the reward `[]`, for greedy, ucb, thompson and regret.

        action: `[action size]`.
        observation: of the outcome's shape.
        """
        raise NotImplementedError

    def design(self) -> Distribution:
        """Optional: return the distribution of a random action."""
        raise NotImplementedError

    def coordinates(self) -> tuple[Any, ...]:
        """Optional: return a transform from the real line for every number of an action."""
        raise NotImplementedError

    def focus(self, key: Array, params: Params) -> Array:
        """Optional: return an action `[action size]` that is informative about `params`.

        key: for ties and noise.
        params: constrained unknowns by name.
        """
        raise NotImplementedError


def provides(model: Model, name: str) -> bool:
    """Test whether a model's class defines an optional method itself.

    model: any model.
    name: of the method.
    """
    return getattr(type(model), name) is not getattr(Model, name)


__all__ = [
    "Arms", "Array", "Belief", "Distribution", "Draws", "Event", "Fade", "Gaussian", "Info",
    "Method", "Model", "Options", "Params", "Posterior", "Span", "Summary", "Vector", "dist",
    "provides",
]  # fmt: skip
