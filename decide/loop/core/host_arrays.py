"""Requests, events and results as one flat float array each, between the host and a compiled call.

See also: packing.py for the packed state.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Event

FloatArray = np.ndarray


def host_event(action: Any, observation: Any, time: Any, id: Any, weight: Any = 1.0) -> Event:
    """Build an event of host numbers, to be written as one array before JAX sees them.

    action: `[size]`.
    observation: as the model has it.
    time: seconds.
    id: number of the event in its stream.
    weight: likelihood weight; 0 for no event.

    Returns: the event.
    """
    return Event(action, observation, time, id, weight)


def build_writer(example: Any) -> Callable[[Any], FloatArray]:
    """Build a function that writes a flat tuple of host numbers as one float array.

    Slices into one new array cost a tenth of a tree traversal.

    example: a tuple of such numbers.

    Returns: `write(parts) -> [n]`.
    """
    edges = np.cumsum([0, *(np.size(x) for x in example)]).tolist()
    spans, total, real = list(pairwise(edges)), edges[-1], _float()

    def write(parts: Any) -> FloatArray:
        flat = np.empty(total, real)
        for (start, stop), part in zip(spans, parts, strict=True):
            flat[start:stop] = part.ravel() if isinstance(part, np.ndarray) else part
        return flat

    return write


def build_reader(example: Any) -> Callable[[Any], Any]:
    """Build the inverse of `pack_result`, for host and traced arrays.

    example: a tree of the same structure, shapes and dtypes.

    Returns: `read(flat) -> tree`.
    """
    leaves, structure = jax.tree.flatten(example)
    edges = np.cumsum([0, *(np.size(x) for x in leaves)]).tolist()
    real = _float()
    parts = []
    for start, stop, leaf in zip(edges[:-1], edges[1:], leaves, strict=True):
        dtype = np.dtype(jnp.result_type(leaf))
        parts.append((start, stop, np.shape(leaf), None if dtype == real else dtype))

    def read(flat: Any) -> Any:
        found = []
        for start, stop, shape, dtype in parts:
            part = flat[start:stop].reshape(shape)
            found.append(part if dtype is None else part.astype(dtype))
        return jax.tree.unflatten(structure, found)

    return read


def pack_result(tree: Any) -> jax.Array:
    """Flatten a tree into one float array, in leaf order; inside a trace.

    tree: any tree of arrays.

    Returns: `[n]`.
    """
    return jnp.concatenate([jnp.ravel(x).astype(_float()) for x in jax.tree.leaves(tree)])


def _float() -> np.dtype:
    return np.dtype(jnp.result_type(float))


LARGEST = 1e10
"""Largest number that is taken in: a term of a sum over events has up to three factors (weight,
feature, outcome or feature again), and float32 ends at 3e38. A larger one may not spoil a belief at
once, but leave it unable to learn anything more: a kept event's term is computed anew later."""


def is_usable(values: Any) -> bool:
    """Test whether a model can compute with numbers: finite, and none beyond `LARGEST`.

    values: any array.
    """
    return bool(np.all(np.abs(values) <= LARGEST))


def host_zeros(shapes: Any) -> Any:
    """Build zeros on the host.

    shapes: a tree of arrays or shape structures.

    Returns: a tree of NumPy arrays.
    """
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
