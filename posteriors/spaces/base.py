"""A space: a distribution over objects of a fixed integer shape, with optional abilities.

A method asks for the ability that it needs and refuses the space by name where it is missing, so
that no method knows which space it searches.
See also: check.py for what a user's own space is checked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpyro.distributions import constraints

from ..base import Array, Distribution
from ..errors import UsageError

ABILITIES = {
    "listing": ("list_objects",),
    "neighbours": ("propose",),
    "construction": ("start", "steps", "extend", "undo"),
    "local scores": ("add_local",),
    "exact sums": ("sum_local", "draw_local"),
}
"""What a space may be able to do, and the methods that it then defines."""


class Space(Distribution):
    """A distribution over objects `[n]` of integers: subclass it and give `sample`, `log_prob`.

    A prior returns it like any other distribution. All other methods are optional. Methods work on
    one object; callers map them.
    """

    def __init__(self, size: int, low: int, high: int) -> None:
        """Fix the shape and range of the objects.

        size: n, integers in an object.
        low, high: least and largest integer.
        """
        self._range = constraints.independent(constraints.integer_interval(low, high), 1)
        super().__init__(batch_shape=(), event_shape=(size,), validate_args=False)

    @property
    def support(self) -> Any:
        """Range of the integers; not every object within it belongs to the space."""
        return self._range

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draw an object `[n]` int32.

        key: for the draw.
        sample_shape: must be empty.
        """
        raise NotImplementedError

    def log_prob(self, value: Any, intermediates: Any = None) -> Array:
        """Compute the log probability `[]` of an object; minus infinity outside the space.

        value: `[n]`.
        intermediates: not used.
        """
        raise NotImplementedError

    def list_objects(self, limit: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Optional: list all objects with their log probabilities.

        limit: most objects.

        Returns: objects `[H, n]` int32 and log probabilities `[H]`; None if there are more.
        """
        raise NotImplementedError

    def propose(self, key: Array, value: Array) -> tuple[Array, Array]:
        """Optional: propose a neighbour, or the object itself.

        key: for the choice.
        value: `[n]`, an object of the space.

        Returns: an object `[n]` of the space; `[]`, log of the probability of the way back over
            that of the way there.
        """
        raise NotImplementedError

    def start(self) -> Array:
        """Optional: return the object `[n]` from which every other one is built."""
        raise NotImplementedError

    def steps(self, partial: Array) -> Array:
        """Optional: return which steps `[A]` bool lead on from an object; each leads to an object.

        partial: `[n]`.
        """
        raise NotImplementedError

    def extend(self, partial: Array, step: Array) -> Array:
        """Optional: take one step.

        partial: `[n]`.
        step: `[]` int32, one that `steps` allows.

        Returns: the next object `[n]`.
        """
        raise NotImplementedError

    def undo(self, partial: Array) -> Array:
        """Optional: return which steps `[A]` bool may have led to an object last.

        partial: `[n]`.
        """
        raise NotImplementedError

    def add_local(self, scores: Array, value: Array) -> Array:
        """Optional: add up the local scores of one object, `[]`.

        scores: as the model's `local_scores` returns them.
        value: `[n]`.
        """
        raise NotImplementedError

    def sum_local(self, scores: Array) -> Any:
        """Optional: sum the exponential of a sum of local scores over all objects, exactly.

        scores: as the model's `local_scores` returns them; the space adds its own log probability.

        Returns: tables for `draw_local`, the first field of which, `log_evidence []`, is the log
            of the sum.
        """
        raise NotImplementedError

    def draw_local(self, key: Array, sums: Any, count: int) -> Array:
        """Optional: draw objects independently in proportion to the terms of `sum_local`.

        key: for the draws.
        sums: from `sum_local`.
        count: number of draws.

        Returns: objects `[count, n]`.
        """
        raise NotImplementedError


def space_of(model: str, prior: Mapping[str, Distribution]) -> Space | None:
    """Return the space among the distributions of a prior.

    model: name of the model, for the error.
    prior: distributions by name.

    Raises: UsageError if there is another unknown beside a space.
    """
    spaces = [d for d in prior.values() if isinstance(d, Space)]
    if spaces and len(prior) > 1:
        raise UsageError(
            f"model {model} has a space beside other unknowns: a space must be the only one"
        )
    return spaces[0] if spaces else None


def has_ability(space: object, ability: str) -> bool:
    """Test whether a distribution is a space with an ability.

    space: any distribution.
    ability: one of `ABILITIES`.
    """
    return isinstance(space, Space) and all(
        getattr(type(space), name) is not getattr(Space, name) for name in ABILITIES[ability]
    )


def require_ability(who: str, space: object, ability: str, remedy: str) -> Space:
    """Return a space that has an ability.

    who: the method that needs it, for the error.
    space: any distribution.
    ability: one of `ABILITIES`.
    remedy: what to do instead.

    Raises: UsageError naming both where it is missing.
    """
    if isinstance(space, Space) and has_ability(space, ability):
        return space
    names = ABILITIES[ability]
    lacking = [n for n in names if getattr(type(space), n, None) in (None, getattr(Space, n))]
    raise UsageError(
        f"{who} needs a space with {ability}; {type(space).__name__} lacks {', '.join(lacking)}: "
        f"{remedy}"
    )
