"""`vmap` over a last axis that stays last: `vmap_last(f, x [..., S], *rest) -> [..., S]`.

`jax.vmap` moves the mapped axis to the front as soon as it meets a reshape or an unmapped
operand, which leaves tiny inner axes of length 2 or 4 for the processor's vector lanes; keeping
particles on the last, contiguous axis was 5 to 9 times faster on a CPU for location finding
(`benchmarks/layout.py`). The function is traced once for a single particle and its operations are
replayed with one more trailing axis; operations outside the tables below use `jax.vmap`.
The result is that of `jax.vmap(f, in_axes=-1, out_axes=-1)`, which a test checks over every model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

Array = jax.Array

ELEMENTWISE = frozenset({
    "abs", "acos", "acosh", "add", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt",
    "ceil", "clamp", "convert_element_type", "copy", "copy_p", "cos", "cosh", "digamma", "div",
    "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "igamma",
    "igammac", "integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt",
    "max", "min", "mul", "ne", "neg", "nextafter", "not", "or", "pow", "real",
    "reduce_precision", "rem", "round", "rsqrt", "select_n", "shift_left", "shift_right_logical",
    "sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh", "xor",
    "zeta",
})  # fmt: skip
"""One output element from one element of each operand."""
SAME = frozenset({
    "argmax", "argmin", "concatenate", "cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum",
    "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod", "reduce_sum", "rev",
    "sort", "squeeze",
})  # fmt: skip
"""Parameters name leading axes by number, so one more trailing axis changes nothing."""
WIDE = 256
"""Unknowns from which `jax.vmap` is the faster: a network's layers are then batched products of
matrices, 13 times faster for 2 751 weights and 32 particles."""
INLINED = frozenset(["closed_call", "core_call", "jit", "pjit"])


def vmap_last(function: Callable[..., Any], particles: Array, *rest: Any) -> Any:
    """Map a function over the last axis.

    function: `(u [...], *rest) -> tree`.
    particles: `[..., S]`.
    rest: shared by all.

    Returns: the function's tree, each leaf with a trailing axis S.
    """
    if particles.shape[0] >= WIDE:
        return jax.vmap(lambda u: function(u, *rest), in_axes=-1, out_axes=-1)(particles)
    one = jax.ShapeDtypeStruct(particles.shape[:-1], particles.dtype)
    closed, shape = jax.make_jaxpr(lambda u: function(u, *rest), return_shape=True)(one)
    count = particles.shape[-1]
    outputs = _replay(closed, [particles], [True], count)
    leaves = [x if mapped else _spread(x, count) for x, mapped in outputs]
    return jax.tree.unflatten(jax.tree.structure(shape), leaves)


def _spread(x: Any, count: int) -> Array:
    """An unmapped value beside `count` particles."""
    x = jnp.asarray(x)
    return jnp.broadcast_to(x[..., None], (*x.shape, count))


def _replay(
    closed: ClosedJaxpr, values: list[Any], mapped: list[bool], count: int
) -> list[tuple[Any, bool]]:
    """Run a traced function on values of which some carry the trailing axis."""
    jaxpr = closed.jaxpr
    environment: dict[Any, tuple[Any, bool]] = {}
    environment.update(zip(jaxpr.constvars, ((c, False) for c in closed.consts), strict=True))
    environment.update(zip(jaxpr.invars, zip(values, mapped, strict=True), strict=True))

    def read(atom: Any) -> tuple[Any, bool]:
        return (atom.val, False) if isinstance(atom, Literal) else environment[atom]

    for eqn in jaxpr.eqns:
        inputs = [read(atom) for atom in eqn.invars]
        if not any(flag for _, flag in inputs):
            results = [(x, False) for x in _bind(eqn, eqn.params, [x for x, _ in inputs])]
        elif eqn.primitive.name in INLINED:
            inner = eqn.params.get("jaxpr") or eqn.params["call_jaxpr"]
            flags = [flag for _, flag in inputs]
            results = _replay(inner, [x for x, _ in inputs], flags, count)
        else:
            results = [(x, True) for x in _mapped(eqn, inputs, count)]
        environment.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _bind(eqn: Any, params: dict[str, Any], values: list[Any]) -> list[Any]:
    """Run one operation."""
    out = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(params))
    return list(out) if eqn.primitive.multiple_results else [out]


def _mapped(eqn: Any, inputs: list[tuple[Any, bool]], count: int) -> list[Any]:
    """One operation with at least one mapped operand."""
    name, params = eqn.primitive.name, eqn.params
    if name in ELEMENTWISE:
        rank = len(eqn.outvars[0].aval.shape)
        shape = (*eqn.outvars[0].aval.shape, count)
        values = [_fit(x, flag, shape, rank) for x, flag in inputs]
        return _bind(eqn, params, values)
    if name in SAME:
        values = [x if flag else _spread(x, count) for x, flag in inputs]
        return _bind(eqn, params, values)
    x, flag = inputs[0]
    if flag and not any(other for _, other in inputs[1:]):
        if name == "broadcast_in_dim" and len(inputs) == 1:
            shape = (*params["shape"], count)
            dims = (*params["broadcast_dimensions"], len(params["shape"]))
            return [jax.lax.broadcast_in_dim(x, shape, dims)]
        if name == "reshape" and len(inputs) == 1:
            order = params["dimensions"]
            if order is not None:
                x = jax.lax.transpose(x, (*order, x.ndim - 1))
            return [jax.lax.reshape(x, (*params["new_sizes"], count))]
        if name == "transpose":
            return [jax.lax.transpose(x, (*params["permutation"], x.ndim - 1))]
        if name == "slice":
            strides = params["strides"] or (1,) * (x.ndim - 1)
            return [
                jax.lax.slice(
                    x,
                    (*params["start_indices"], 0),
                    (*params["limit_indices"], count),
                    (*strides, 1),
                )
            ]
        if name == "dynamic_slice":
            starts = [s for s, _ in inputs[1:]]
            zero = jnp.zeros((), jnp.asarray(starts[0]).dtype) if starts else 0
            sizes = (*params["slice_sizes"], count)
            # Starts that were negative were counted from the end when the function was traced.
            return [jax.lax.dynamic_slice(x, (*starts, zero), sizes, allow_negative_indices=False)]
    if name == "dot_general":
        product = _dot(params, inputs)
        if product is not None:
            return [product]
    axes = [-1 if flag else None for _, flag in inputs]
    mapped = jax.vmap(lambda *v: tuple(_bind(eqn, params, list(v))), in_axes=axes, out_axes=-1)
    return list(mapped(*(x for x, _ in inputs)))


def _fit(x: Any, mapped: bool, shape: tuple[int, ...], rank: int) -> Array:
    """An operand of an elementwise operation at the full shape `[..., S]`."""
    x = jnp.asarray(x)
    if mapped and x.ndim == rank + 1:
        return x
    if mapped:  # one number a particle beside an array: select_n's predicate, for one
        return jnp.broadcast_to(x, shape)
    if x.ndim == 0:
        return jnp.broadcast_to(x, shape)
    return jnp.broadcast_to(x[..., None], shape)


def _dot(params: dict[str, Any], inputs: list[tuple[Any, bool]]) -> Array | None:
    """A product in which one operand is shared, S being a free axis of the other."""
    (a, a_mapped), (b, b_mapped) = inputs
    (_, _), (batch, _) = params["dimension_numbers"]
    if batch or (a_mapped and b_mapped):
        return None
    out = jax.lax.dot_general(
        a,
        b,
        params["dimension_numbers"],
        precision=params["precision"],
        preferred_element_type=params["preferred_element_type"],
    )
    if b_mapped:
        return out
    free = a.ndim - len(params["dimension_numbers"][0][0])
    return jnp.moveaxis(out, free - 1, -1)


__all__ = ["WIDE", "vmap_last"]
