"""A static target: a posterior given once and for all by data, to compare inference methods on.

What a model in the loop cannot have, a target may: flat priors, priors of one unknown that depend
on another, and likelihoods that do not factor over events. Not here: reading data and reference
draws (streams/posteriordb.py), or the comparison (decide/judge/parity.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .base import Array, Distribution, Model, Params, UsageError, Vector, dist
from .loading import nearest

Start = tuple[Any, Any]
"""Centre and width, numbers or arrays of the unknown's shape in unconstrained coordinates."""


class Data(Mapping[str, np.ndarray]):
    """Numbers and arrays by name, as a target's data file has them.

    Two of the same content are equal and hash alike, so that a target is known by its data.
    """

    def __init__(self, values: Mapping[str, Any], name: str = "data") -> None:
        self.name = name
        self._values = {key: np.asarray(value) for key, value in sorted(values.items())}
        found = hashlib.sha256()
        for key, value in self._values.items():
            found.update(f"{key} {value.dtype} {value.shape};".encode() + value.tobytes())
        self.digest = found.hexdigest()

    def __getitem__(self, key: str) -> np.ndarray:
        if key not in self._values:
            raise UsageError(f'{self.name}: has no "{key}"{nearest(key, list(self._values))}')
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Data) and other.digest == self.digest

    def __repr__(self) -> str:
        return f"Data({self.digest[:16]})"


class Target(Model):
    """Subclass as a frozen dataclass of one field, `data: Data`; define `prior` and one of

    * `log_likelihood(params)`, the whole of it: the data are then one event;
    * `rows()` and `predict(params, stats, action)`: an event a row.

    `dist.ImproperUniform(support, (), shape)` is a flat prior. Nobody can draw from it, so `start`
    must say where backends begin.
    """

    file: ClassVar[str | None] = ""
    """Name of the data file, where it is not the collection's usual one; None: there is none."""

    if TYPE_CHECKING:
        data: Data

    def start(self) -> Mapping[str, Start]:
        """Where backends start in each unknown that has a flat prior: normal, centre and width.

        Worth stating for heavy tails too: chains that start in one may stay there.
        """
        return {}

    def log_factor(self, params: Params) -> Array:
        """Optional: what the log prior density has besides `prior()`, `[]`.

        For priors that depend on other unknowns, and for those cut off by an order.
        """
        raise NotImplementedError

    def log_likelihood(self, params: Params) -> Array:
        """The log likelihood of all data at once, `[]`."""
        raise NotImplementedError

    def rows(self) -> tuple[Any, Any]:
        """Actions `[N, size]` and observations `[N, ...]`: what is given, and what was seen."""
        # A row of nothing: what was seen is in the log likelihood.
        return np.zeros((1, 1)), np.zeros((1, 0))

    def quantities(self, params: Params) -> Params:
        """What is compared: the names and shapes of the reference, made of the unknowns."""
        return params

    def recover(self, quantities: Params) -> Params:
        """The unknowns again from all of one draw's `quantities`, where they are others."""
        return quantities

    @property
    def actions(self) -> Vector:
        return Vector(int(np.shape(_rows(self)[0])[1]))

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        return dist.Unit(self.log_likelihood(params))

    @property
    def whole(self) -> bool:
        """Whether the data are one event."""
        return not provides_of(self, "rows")


def provides_of(target: Target, name: str) -> bool:
    """Whether a target's class defines the optional method `name` itself."""
    return getattr(type(target), name) is not getattr(Target, name)


@lru_cache(maxsize=64)
def _rows(target: Target) -> tuple[np.ndarray, np.ndarray]:
    actions, observations = (np.asarray(x, float) for x in target.rows())
    if actions.ndim != 2 or len(actions) != len(observations) or not len(actions):
        raise UsageError(
            f"model {type(target).__name__}: rows() gives actions {actions.shape} and observations "
            f"{observations.shape}; they should be [N, size] and [N, ...] of the same N > 0"
        )
    return actions, observations


def events_of(target: Target) -> tuple[np.ndarray, np.ndarray]:
    """Actions `[N, size]` and observations `[N, ...]` of a target, checked."""
    return _rows(target)


def check_target(name: str, target: Any) -> None:
    """Refuse a target that says too little or too much, naming what."""
    if not isinstance(target, Target):
        raise UsageError(
            f"model {name} made a {type(target).__name__}; a static target subclasses "
            "uncertain.posteriors.Target"
        )
    one, two = provides_of(target, "rows"), provides_of(target, "predict")
    if one != two:
        missing = "predict(params, stats, action)" if one else "rows()"
        raise UsageError(f"model {name}: rows() and predict() go together; {missing} is missing")
    if one == provides_of(target, "log_likelihood"):
        raise UsageError(
            f"model {name}: define either log_likelihood(params), or rows() and predict(...)"
        )


__all__ = ["Data", "Start", "Target", "check_target", "events_of", "provides_of"]
