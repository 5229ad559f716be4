"""Many beliefs as one batched state: one row out of it, one row back.

The packed state of many is the packed arrays of one with an axis of N rows in front, and the number
of the row at hand at the end. A program reads that row, works on it as on a belief alone, and puts
it back in memory that was given away, so that nothing costs more the more rows there are. The
work stands in a branch: XLA looks into no branch from outside, whereas it fuses what reads a row
with what uses it, and then copies all rows before one is changed. So a row's arithmetic does not
depend on where it lies, or on how many there are. Not here: whose row is whose (many.py), or what a
state is (packing.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import dynamic_index_in_dim, dynamic_update_index_in_dim

Packed = tuple[Any, ...]


def at(packed: Packed, row: Any) -> Packed:
    """The same state with another row at hand, `[]` int32; on the host, without JAX."""
    return (*packed[:-1], row)


def many_of(one: Packed, rows: int) -> Packed:
    """The arrays of `rows` that are all like `one`, no row at hand yet; inside a trace."""
    return tuple(jnp.broadcast_to(x[None], (rows, *x.shape)) for x in one)


def row_of(packed: Packed) -> Packed:
    """The row at hand as the packed arrays of one, inside a trace."""
    *arrays, row = packed
    return tuple(dynamic_index_in_dim(x, row, keepdims=False) for x in arrays)


def with_row(packed: Packed, one: Packed) -> Packed:
    """The state with `one` as its row at hand, inside a trace; in place where it was donated."""
    *arrays, row = packed
    put = (dynamic_update_index_in_dim(x, v, row, 0) for x, v in zip(arrays, one, strict=True))
    return (*put, row)


def reading(body: Callable[..., Any], rows: int) -> Callable[..., Any]:
    """`body(one, ...)` as a function of a state of many, about its row at hand; as it is where
    there are no rows."""
    if not rows:
        return body

    def read(packed: Packed, *given: Any) -> Any:
        return _apart(packed[-1], body, row_of(packed), *given)

    return read


def changing(body: Callable[..., Any], rows: int) -> Callable[..., Any]:
    """The same of `body(one, ...) -> (one, result)`, which gives a state of many back."""
    if not rows:
        return body

    def change(packed: Packed, *given: Any) -> tuple[Packed, Any]:
        one, result = _apart(packed[-1], body, row_of(packed), *given)
        return with_row(packed, one), result

    return change


def _apart(row: Any, body: Callable[..., Any], *given: Any) -> Any:
    """`body(*given)`, in a branch that is always taken, which only the host knows."""
    shapes = jax.eval_shape(body, *given)

    def never(*_: Any) -> Any:
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    return jax.lax.cond(row >= 0, body, never, *given)
