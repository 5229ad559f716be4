"""Static targets: posterior distributions fixed by data, for comparing inference methods.

Unlike a model in the loop, a target may have flat priors, priors of one unknown that depend on
another, and likelihoods that do not factor over events.
See also: streams/formats/posteriordb.py for data and reference draws,
decide/judge/parity/estimate.py for the comparison.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..base import Array, Distribution, Model, Params, Vector, dist
from ..errors import UsageError
from ..specs import nearest

Start = tuple[Any, Any]
"""Mean and standard deviation, numbers or arrays of the unknown's shape, unconstrained."""


class Data(Mapping[str, np.ndarray]):
    """Numbers and arrays by name, as in a target's data file.

    Data of equal content are equal and have equal hashes, so that targets can be cache keys.
    """

    def __init__(self, values: Mapping[str, Any], name: str = "data") -> None:
        self.name = name
        self._values = {key: np.asarray(value) for key, value in sorted(values.items())}
        digest = hashlib.sha256()
        for key, value in self._values.items():
            digest.update(f"{key} {value.dtype} {value.shape};".encode() + value.tobytes())
        self.digest = digest.hexdigest()

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
    """A static target. Subclass as a frozen dataclass of one field, `data: Data`.

    Define `prior` and one of

    * `log_likelihood(params)`, if all data are one event;
    * `rows()` and `predict(params, stats, action)`, if each row is an event.

    A flat prior is `dist.ImproperUniform(support, (), shape)`. It cannot be sampled, so that
    `start` must say where posteriors begin.
    """

    file: ClassVar[str | None] = ""
    """Name of the data file; empty: the collection's usual name; None: no file."""

    if TYPE_CHECKING:
        data: Data

    def start(self) -> Mapping[str, Start]:
        """Give a normal starting distribution for each unknown with a flat prior.

        Also useful for heavy tails, where chains that start far out may stay.

        Returns: mean and standard deviation by name, in unconstrained coordinates.
        """
        return {}

    def log_factor(self, params: Params) -> Array:
        """Compute a further term of the log prior density, if any.

        For priors that depend on other unknowns, and for ordered ones. Called only where a target
        provides it.

        params: constrained unknowns by name.

        Returns: the term, `[]`.
        """
        raise NotImplementedError

    def log_likelihood(self, params: Params) -> Array:
        """Compute the log likelihood of all data.

        params: constrained unknowns by name.

        Returns: log likelihood, `[]`.
        """
        raise NotImplementedError

    def rows(self) -> tuple[Any, Any]:
        """List the events: actions `[N, size]` and observations `[N, ...]`."""
        # By default one empty event, because the log likelihood has all data.
        return np.zeros((1, 1)), np.zeros((1, 0))

    def quantities(self, params: Params) -> Params:
        """Compute the compared quantities, with the names and shapes of the reference draws.

        params: constrained unknowns by name.
        """
        return params

    def recover(self, quantities: Params) -> Params:
        """Compute the unknowns from one draw of the compared quantities.

        quantities: all of one draw, by name.
        """
        return quantities

    @property
    def actions(self) -> Vector:
        """Space of the rows' actions."""
        return Vector(int(np.shape(_rows(self)[0])[1]))

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict an observation; by default all data as one event.

        params: constrained unknowns by name.
        stats: none.
        action: `[size]`, a row of the actions.
        """
        return dist.Unit(self.log_likelihood(params))

    @property
    def whole(self) -> bool:
        """Whether all data are one event."""
        return not overrides(self, "rows")


def overrides(target: Target, name: str) -> bool:
    """Tell whether a target's class defines an optional method itself.

    target: the target.
    name: of the method.
    """
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


def target_events(target: Target) -> tuple[np.ndarray, np.ndarray]:
    """List a target's events, checked.

    target: the target.

    Returns: actions `[N, size]` and observations `[N, ...]`.
    Raises: UsageError if their shapes do not fit.
    """
    return _rows(target)


def check_target(name: str, target: Any) -> None:
    """Refuse a target that defines too few or too many methods.

    name: of the target, for the message.
    target: the object to check.

    Raises: UsageError naming the methods.
    """
    if not isinstance(target, Target):
        raise UsageError(
            f"model {name} made a {type(target).__name__}; a static target subclasses "
            "uncertain.posteriors.Target"
        )
    one, two = overrides(target, "rows"), overrides(target, "predict")
    if one != two:
        missing = "predict(params, stats, action)" if one else "rows()"
        raise UsageError(f"model {name}: rows() and predict() go together; {missing} is missing")
    if one == overrides(target, "log_likelihood"):
        raise UsageError(
            f"model {name}: define either log_likelihood(params), or rows() and predict(...)"
        )


__all__ = ["Data", "Start", "Target", "check_target", "overrides", "target_events"]
