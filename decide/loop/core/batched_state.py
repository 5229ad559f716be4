"""Many beliefs in one batched state: read one row, work on it, write it back.

The packed state of N beliefs is the packed arrays of one belief with a leading axis of N, followed
by the number of the current row. A program reads that row, runs as for a single belief, and writes
the row back into donated memory, so its cost does not depend on N. The work runs inside a branch:
XLA does not fuse across branches. Without the branch it fuses the read with the work and copies all
rows. A row's arithmetic therefore does not depend on its place or on N.

See also: packing.py for a packed state, decide/loop/server/keyed_streams.py for the use of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import dynamic_index_in_dim, dynamic_update_index_in_dim

Packed = tuple[Any, ...]


def select_row(packed: Packed, row: Any) -> Packed:
    """Make another row current; on the host, without JAX.

    packed: batched state.
    row: `[]` int32 number of the row.

    Returns: the batched state with that row current.
    """
    return (*packed[:-1], row)


def repeat_rows(one: Packed, rows: int) -> Packed:
    """Repeat one packed state along a new row axis; inside a trace.

    one: packed state of one belief.
    rows: N.

    Returns: arrays `[N, ...]`, without a current row.
    """
    return tuple(jnp.broadcast_to(x[None], (rows, *x.shape)) for x in one)


def read_row(packed: Packed) -> Packed:
    """Read the current row as the packed state of one belief; inside a trace.

    packed: batched state.

    Returns: packed state of one belief.
    """
    *arrays, row = packed
    return tuple(dynamic_index_in_dim(x, row, keepdims=False) for x in arrays)


def write_row(packed: Packed, one: Packed) -> Packed:
    """Write the current row; inside a trace, in place where `packed` is donated.

    packed: batched state.
    one: packed state of one belief.

    Returns: the batched state with that row replaced.
    """
    *arrays, row = packed
    put = (dynamic_update_index_in_dim(x, v, row, 0) for x, v in zip(arrays, one, strict=True))
    return (*put, row)


def on_row(body: Callable[..., Any], rows: int) -> Callable[..., Any]:
    """Lift a function of one belief to the current row of a batched state.

    body: `body(one, ...) -> result` on the packed state of one belief.
    rows: N; 0 returns `body` itself.

    Returns: `call(packed, ...) -> result`.
    """
    if not rows:
        return body

    def read(packed: Packed, *given: Any) -> Any:
        return _call_apart(packed[-1], body, read_row(packed), *given)

    return read


def updating_row(body: Callable[..., Any], rows: int) -> Callable[..., Any]:
    """Lift a function that updates one belief to the current row of a batched state.

    body: `body(one, ...) -> (one, result)` on the packed state of one belief.
    rows: N; 0 returns `body` itself.

    Returns: `call(packed, ...) -> (packed, result)`.
    """
    if not rows:
        return body

    def change(packed: Packed, *given: Any) -> tuple[Packed, Any]:
        one, result = _call_apart(packed[-1], body, read_row(packed), *given)
        return write_row(packed, one), result

    return change


def _call_apart(row: Any, body: Callable[..., Any], *given: Any) -> Any:
    """`body(*given)` in a branch that is always taken, a fact that the compiler cannot see."""
    shapes = jax.eval_shape(body, *given)

    def never(*_: Any) -> Any:
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    return jax.lax.cond(row >= 0, body, never, *given)
