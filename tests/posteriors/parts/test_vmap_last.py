"""`across` against `jax.vmap` over a last axis: every model, and every operation it knows.

See also: benchmarks/layout.py for the speed.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import actions, run_once, small
from uncertain.posteriors.base import Model, dist
from uncertain.posteriors.parts import vmap_last as module
from uncertain.posteriors.parts.unknowns import log_likelihood, unknowns_of
from uncertain.posteriors.parts.vmap_last import vmap_last
from uncertain.posteriors.registry import MODELS, build_model

SIZE = 5
"""Particles; also the length of some shared arrays, so that a mixed-up axis is not refused."""
ROWS = 3
SHARED = jnp.linspace(-1.0, 2.0, SIZE)
MATRIX = jnp.sin(jnp.arange(ROWS * SIZE, dtype=jnp.float32)).reshape(ROWS, SIZE)
STACK = jnp.cos(jnp.arange(2 * ROWS * SIZE, dtype=jnp.float32)).reshape(2, ROWS, SIZE)

RELATIVE, ABSOLUTE = 2e-5, 1e-6
"""Sums of a few float32 numbers in another order."""


def pair(u: jax.Array) -> jax.Array:
    """`[SIZE]` -> `[ROWS, SIZE]`, every entry of its own."""
    return jnp.sin(MATRIX + u[None, :])


def stack(u: jax.Array) -> jax.Array:
    """`[SIZE]` -> `[2, ROWS, SIZE]`."""
    return jnp.sin(STACK + u[None, None, :])


def total(carry: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    carry = jnp.tanh(carry + x)
    return carry, carry * x


FUNCTIONS: dict[str, Callable[[jax.Array], Any]] = {
    "identity": lambda u: u,
    "constant": lambda u: (jnp.ones(3), 2.0, jnp.int32(4)),
    "scalar": lambda u: jnp.sum(u),
    "one entry": lambda u: u[2],
    "shared operand": lambda u: u * SHARED,
    "shared matrix": lambda u: MATRIX / (1 + jnp.square(u[None, :])),
    "reshape": lambda u: pair(u).reshape(SIZE, ROWS) * 2,
    "reshape by columns": lambda u: jnp.ravel(pair(u), order="F"),
    "reshape permuted": lambda u: jax.lax.reshape(pair(u), (ROWS * SIZE,), dimensions=(1, 0)),
    "transpose": lambda u: jnp.transpose(stack(u), (2, 0, 1)),
    "slice": lambda u: pair(u)[1:, 0:4:2],
    "reversed": lambda u: jnp.flip(pair(u), 1),
    "dynamic slice": lambda u: jax.lax.dynamic_slice(pair(u), (1, jnp.int32(2)), (2, 2)),
    "dynamic slice outside": lambda u: jax.lax.dynamic_slice(u, (jnp.int32(-SIZE - 1),), (1,)),
    "dynamic slice, mapped start": lambda u: jax.lax.dynamic_slice(
        pair(u), (jnp.argmax(u) % 2, 1), (2, 2)
    ),
    "dynamic slice of shared": lambda u: jax.lax.dynamic_slice(SHARED, (jnp.argmax(u),), (1,)) * u,
    "dynamic update": lambda u: pair(u).at[1, 2].set(u[0]),
    "scatter, mapped index": lambda u: jnp.zeros(SIZE).at[jnp.argmin(u)].add(u[1]),
    "concatenate": lambda u: jnp.concatenate([u, SHARED, u[:2]]),
    "concatenate rows": lambda u: jnp.concatenate([pair(u), MATRIX[:, :2]], axis=-1),
    "stacked": lambda u: jnp.stack([u, SHARED], axis=-1),
    "pad": lambda u: jnp.pad(pair(u), ((1, 0), (0, 2))),
    "split": lambda u: jnp.split(pair(u), [2], axis=1),
    "where, array predicate": lambda u: jnp.where(pair(u) > 0.1, pair(u), MATRIX),
    "where, scalar predicate": lambda u: jnp.where(u[0] > 0, pair(u), MATRIX),
    "select, scalar predicate": lambda u: jax.lax.select_n(u[0] > 0, pair(u), MATRIX),
    "select, shared predicate": lambda u: jnp.where(SHARED > 0, u, 0.0),
    "select of shared": lambda u: jax.lax.select_n(u[0] > 0, SHARED, 2 * SHARED) * u,
    "clip": lambda u: jnp.clip(u, -0.3, u[0] + 1),
    "clamp, scalar bounds": lambda u: jax.lax.clamp(-0.3, u, 0.4),
    "maximum of scalar": lambda u: jax.lax.max(u[0], jnp.sum(u)) + jnp.maximum(u, 0.0),
    "cumsum": lambda u: jnp.cumsum(pair(u), axis=-1),
    "cumulative": lambda u: (
        jnp.cumprod(u),
        jax.lax.cummax(u),
        jax.lax.cumlogsumexp(u, reverse=True),
    ),
    "argmax": lambda u: (jnp.argmax(pair(u), -1), jnp.argmin(pair(u), axis=0)),
    "reductions": lambda u: (jnp.max(pair(u), -1), jnp.min(pair(u), 0), jnp.prod(pair(u), -1)),
    "predicates": lambda u: (jnp.all(pair(u) > 0, -1), jnp.any(pair(u) > 0, 0), u > SHARED),
    "sort": lambda u: jnp.sort(pair(u), axis=-1),
    "sort with shared": lambda u: jax.lax.sort((u, SHARED), num_keys=1),
    "sort shared by mapped": lambda u: jax.lax.sort((SHARED, u, 2 * u), num_keys=2),
    "argsort": lambda u: jnp.argsort(u),
    "top": lambda u: jax.lax.top_k(u, 2),
    "dot, left shared": lambda u: MATRIX @ u,
    "dot, right shared": lambda u: u @ MATRIX.T,
    "dot, matrix by shared": lambda u: pair(u) @ MATRIX.T,
    "dot, shared by matrix": lambda u: MATRIX.T @ pair(u),
    "dot, both mapped": lambda u: pair(u) @ u,
    "dot, batched": lambda u: jnp.einsum("bij,bkj->bik", stack(u), STACK),
    "dot, batched, both mapped": lambda u: jnp.einsum("bij,bkj->bik", stack(u), stack(2 * u)),
    "outer": lambda u: jnp.tensordot(u, SHARED, axes=0),
    "tensordot": lambda u: jnp.tensordot(stack(u), STACK, axes=((0, 2), (0, 2))),
    "gather, shared index": lambda u: pair(u)[jnp.array([2, 0]), jnp.array([1, 4])],
    "gather, mapped index": lambda u: pair(u)[jnp.argmax(u) % ROWS],
    "gather of shared": lambda u: MATRIX[:, jnp.argmax(u)] * u[0],
    "take along": lambda u: jnp.take_along_axis(pair(u), jnp.argsort(pair(u), 1), 1),
    "scan": lambda u: jax.lax.scan(total, u[0], u),
    "scan over shared": lambda u: jax.lax.scan(total, u[0], SHARED),
    "loop": lambda u: jax.lax.fori_loop(0, 3, lambda i, x: jnp.sin(x) + u[i], u),
    "while": lambda u: jax.lax.while_loop(lambda x: jnp.sum(x) < 3, lambda x: x + 1, jnp.round(u)),
    "cond, mapped": lambda u: jax.lax.cond(u[0] > 0, jnp.sin, jnp.cos, pair(u)),
    "cond, shared": lambda u: jax.lax.cond(SHARED[0] > 0, jnp.sin, jnp.cos, pair(u)),
    "relu": lambda u: jax.nn.relu(pair(u)),
    "softplus": lambda u: jax.nn.softplus(u) + jax.nn.silu(SHARED * u),
    "logsumexp": lambda u: jax.nn.logsumexp(pair(u), axis=-1),
    "softmax": lambda u: jax.nn.log_softmax(pair(u), axis=0),
    "nested jit": lambda u: jax.jit(lambda x, y: jnp.outer(x, y))(jnp.sin(u), SHARED),
    "checkpointed": lambda u: jax.checkpoint(lambda x: jnp.sin(x) * SHARED)(u),
    "own gradient": lambda u: jax.grad(lambda x: jnp.sum(jnp.square(pair(x)) * MATRIX))(u),
    "own vmap": lambda u: jax.vmap(lambda row: jnp.dot(row, u))(pair(u)),
    "cholesky": lambda u: jnp.linalg.cholesky(pair(u) @ pair(u).T + jnp.eye(ROWS)),
    "integers": lambda u: (jnp.round(3 * u).astype(jnp.int32) // 2) % 3 + jnp.arange(SIZE),
    "bits": lambda u: jnp.round(3 * u).astype(jnp.int32) ^ 5 | (jnp.arange(SIZE) << 1),
    "special": lambda u: (
        jax.scipy.special.gammaln(2 + jnp.square(u)),
        jax.scipy.special.erf(u),
        jnp.logaddexp(u, SHARED),
        jnp.arctan2(u, SHARED),
        jnp.square(u) ** 1.5,
        u**3,
    ),
    "noise": lambda u: jax.random.normal(jax.random.key(1), (ROWS, SIZE)) * u[None, :],
    "distribution": lambda u: dist.MultivariateNormal(u[:2], jnp.eye(2)).log_prob(SHARED[:2]),
}
NO_REVERSE = {"while"}
"""JAX cannot differentiate these backwards, however they are mapped."""


def inexact(tree: Any) -> list[jax.Array]:
    """Leaves that have gradients."""
    return [x for x in jax.tree.leaves(tree) if jnp.issubdtype(jnp.result_type(x), jnp.inexact)]


def same(one: Any, two: Any) -> None:
    """Trees, shapes, dtypes and values agree."""
    assert jax.tree.structure(one) == jax.tree.structure(two)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert a.shape == b.shape, f"shape {a.shape}, not {b.shape}"
        assert a.dtype == b.dtype, f"dtype {a.dtype}, not {b.dtype}"
        np.testing.assert_allclose(a, b, rtol=RELATIVE, atol=ABSOLUTE)


def agrees(
    function: Callable[..., Any],
    particles: jax.Array,
    *cases: tuple[Any, ...],
    reverse: bool = True,
) -> None:
    """Values, gradients, and values under an outer vmap, equal those of `jax.vmap`.

    cases: further arguments, shared by all particles, each tried in turn.
    """

    def ours(x: jax.Array, *rest: Any) -> Any:
        return vmap_last(function, x, *rest)

    def theirs(x: jax.Array, *rest: Any) -> Any:
        return jax.vmap(lambda u: function(u, *rest), in_axes=-1, out_axes=-1)(x)

    def measure(mapped: Callable[..., Any], x: jax.Array, *rest: Any) -> Any:
        def weighted(x: jax.Array, *rest: Any) -> jax.Array:
            # Weights differ in every entry: an entry in the wrong place changes the gradient.
            parts = inexact(mapped(x, *rest))
            ramp = [jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape) for p in parts]
            return sum(jnp.sum(p * w) for p, w in zip(parts, ramp, strict=True))

        found = {"values": mapped(x, *rest)}
        smooth = jnp.issubdtype(x.dtype, jnp.inexact) and reverse
        if smooth and inexact(found["values"]):
            found["gradient"] = jax.grad(weighted)(x, *rest)
        found["inside"] = jax.vmap(lambda y: mapped(y, *rest))(jnp.stack([x, x[..., ::-1]]))
        return found

    # One program, which runs once: optimising it would cost more than it saves.
    both = jax.jit(
        lambda x, *rest: (measure(ours, x, *rest), measure(theirs, x, *rest)),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    for case in cases or ((),):
        same(*both(particles, *case))


def particles() -> jax.Array:
    """`[SIZE, SIZE]`: on its diagonal the two axes look alike, elsewhere they do not."""
    return jax.random.normal(jax.random.key(3), (SIZE, SIZE))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operations(name: str) -> None:
    agrees(FUNCTIONS[name], particles(), reverse=name not in NO_REVERSE)


@pytest.mark.parametrize("name", MODELS)
def test_likelihood_of_every_model(name: str) -> None:
    model: Model = build_model(small(name))
    unknowns = unknowns_of(model)
    draws = run_once(lambda key: unknowns.sample(key, 7).T, jax.random.key(1))
    stats = model.init_stats()

    def terms(u: jax.Array, action: jax.Array, observation: jax.Array) -> Any:
        density = log_likelihood(model, u, stats, action, observation)
        return density, unknowns.log_prior(u), unknowns.constrain(u)

    @jax.jit
    def answer(u: jax.Array, action: jax.Array) -> jax.Array:
        outcome = model.predict(unknowns.constrain(u), stats, action)
        return outcome.sample(jax.random.key(4)).astype(jnp.float32)

    tried = np.asarray(actions(model, np.random.default_rng(2), 3), np.float32)
    agrees(terms, draws, *((a, answer(draws[:, i], a)) for i, a in enumerate(tried)))


def test_shared_arguments_are_not_mapped() -> None:
    x = particles()
    rest = (SHARED, {"matrix": MATRIX})

    def function(u: jax.Array, v: jax.Array, tree: dict[str, jax.Array]) -> jax.Array:
        return tree["matrix"] @ (u * v)

    wanted = jax.vmap(function, in_axes=(-1, None, None), out_axes=-1)(x, *rest)
    same(vmap_last(function, x, *rest), wanted)


def test_shared_arguments_may_be_mapped_outside() -> None:
    x, shared = particles(), MATRIX

    def ours(v: jax.Array) -> jax.Array:
        return vmap_last(lambda u, w: jnp.tanh(u * w), x, v)

    def theirs(v: jax.Array) -> jax.Array:
        return jax.vmap(lambda u: jnp.tanh(u * v), in_axes=-1, out_axes=-1)(x)

    same(jax.vmap(ours)(shared), jax.vmap(theirs)(shared))


def test_single_precision_in_a_double_precision_process(double: None) -> None:
    x = particles().astype(jnp.float32)
    for function in (lambda u: 2.0 * u + 1, lambda u: (jnp.maximum(u, 0.0), 3.0, jnp.ones(2))):
        agrees(function, x)


def spread_at_the_front(x: Any, mapped: bool, shape: tuple[int, ...], rank: int) -> jax.Array:
    """As `_fit`, but a shared operand is laid along the particles."""
    return jnp.broadcast_to(jnp.asarray(x), shape)


@pytest.mark.parametrize(
    ("attribute", "wrong", "function"),
    [
        ("_fit", spread_at_the_front, "shared operand"),
        ("SAME", module.SAME | {"dot_general"}, "dot, both mapped"),
        ("SAME", module.SAME | {"transpose"}, "transpose"),
        ("SAME", module.SAME | {"reshape"}, "reshape"),
        ("ELEMENTWISE", module.ELEMENTWISE | {"scan"}, "scan"),
        ("ELEMENTWISE", module.ELEMENTWISE | {"reduce_sum"}, "scalar"),
    ],
)
def test_a_wrong_rule_is_found(
    monkeypatch: pytest.MonkeyPatch, attribute: str, wrong: Any, function: str
) -> None:
    agrees(FUNCTIONS[function], particles())
    monkeypatch.setattr(module, attribute, wrong)
    with pytest.raises(Exception, match=r"\S"):
        agrees(FUNCTIONS[function], particles())


def test_silently_wrong_values_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fit", spread_at_the_front)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agrees(FUNCTIONS["shared operand"], particles())
