"""The live loop: one event at a time, one compiled call to decide and one to learn.

Latency is host time around each call, blocking on its result, with nothing else inside. The
state is a few flat arrays, donated; requests and events are one packed array each. Not here:
where requests come from, or files.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Event, example_event
from .packing import packing
from .step import Agent, Decision, Learned, Request, blank_request, build_step

FloatArray = np.ndarray


class Live(NamedTuple):
    """Compiled calls over host arrays.

    init(seed key) -> packed state. decide(packed, request array) -> flat result. learn(packed,
    event array) -> (packed, flat result); it consumes `packed`. The read_ and write_ functions
    turn host arrays into structures and back without touching JAX.
    """

    init: Callable[[Any], tuple[Any, ...]]
    decide: Callable[[tuple[Any, ...], FloatArray], Any]
    learn: Callable[[tuple[Any, ...], FloatArray], tuple[tuple[Any, ...], Any]]
    write_request: Callable[[Request], FloatArray]
    write_event: Callable[[Event], FloatArray]
    read_decision: Callable[[FloatArray], Decision]
    read_learned: Callable[[FloatArray], Learned]
    compile: float
    traces: Callable[[], int]


def flat_size(tree: Any) -> int:
    return sum(int(np.prod(np.shape(x), dtype=int)) for x in jax.tree.leaves(tree))


def write(tree: Any) -> FloatArray:
    """A tree of host numbers as one float array, in leaf order."""
    leaves = jax.tree.leaves(tree)
    return np.concatenate([np.ravel(np.asarray(x, _float())) for x in leaves], dtype=_float())


def reader(example: Any) -> Callable[[Any], Any]:
    """The inverse of `write` for trees like `example`; works on host and traced arrays."""
    leaves, structure = jax.tree.flatten(example)
    shapes = [np.shape(x) for x in leaves]
    sizes = [int(np.prod(shape, dtype=int)) for shape in shapes]
    dtypes = [np.dtype(jnp.asarray(x).dtype) for x in leaves]
    edges = np.cumsum([0, *sizes])

    def read(flat: Any) -> Any:
        parts = [
            flat[a:b].reshape(shape).astype(dtype)
            for a, b, shape, dtype in zip(edges[:-1], edges[1:], shapes, dtypes, strict=True)
        ]
        return jax.tree.unflatten(structure, parts)

    return read


def _float() -> np.dtype:
    return np.dtype(jnp.result_type(float))


@lru_cache(maxsize=64)
def build_live(agent: Agent, given: int = 0) -> Live:
    """Compile an agent's two calls; `compile` is the seconds it took.

    given: capacity of candidate sets that come from outside; 0 where they are made inside.
    """
    begin = time.perf_counter()
    step = build_step(agent, given)
    traced = [0]
    request = blank_request(agent, given)
    event = example_event(agent.model)
    state = jax.eval_shape(step.init, jax.random.key(0))
    pack, unpack = packing(state)
    request_reader, event_reader = reader(request), reader(event)

    def pack_result(tree: Any) -> jax.Array:
        leaves = [jnp.ravel(x).astype(_float()) for x in jax.tree.leaves(tree)]
        return jnp.concatenate(leaves)

    def decide(packed: tuple[Any, ...], flat: Any) -> jax.Array:
        traced[0] += 1
        return pack_result(step.decide(unpack(packed), request_reader(flat)))

    def learn(packed: tuple[Any, ...], flat: Any) -> tuple[tuple[Any, ...], jax.Array]:
        traced[0] += 1
        state, learned = step.learn(unpack(packed), event_reader(flat))
        return pack(state), pack_result(learned)

    init = jax.jit(lambda key: pack(step.init(key)))
    decide_call, learn_call = jax.jit(decide), jax.jit(learn, donate_argnums=0)
    packed = init(jax.random.key(0))
    blank_in, blank_event = write(request), write(event)
    np.asarray(decide_call(packed, blank_in))
    jax.block_until_ready(learn_call(packed, blank_event))
    decision = jax.eval_shape(step.decide, state, request)
    learned = jax.eval_shape(step.learn, state, event)[1]
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), (decision, learned))
    seconds = time.perf_counter() - begin
    return Live(
        init,
        decide_call,
        learn_call,
        write,
        write,
        reader(zeros[0]),
        reader(zeros[1]),
        seconds,
        lambda: traced[0],
    )


@contextmanager
def quiet():
    """No garbage collection inside: its pauses are not what is being measured."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def timed_decide(live: Live, packed: tuple[Any, ...], flat: FloatArray) -> tuple[FloatArray, int]:
    """The decision as a flat host array, and the nanoseconds until it was there."""
    begin = time.perf_counter_ns()
    out = np.asarray(live.decide(packed, flat))
    return out, time.perf_counter_ns() - begin


def timed_learn(
    live: Live, packed: tuple[Any, ...], flat: FloatArray
) -> tuple[tuple[Any, ...], FloatArray, int]:
    """The new state, what learning reported, and the nanoseconds until it was there."""
    begin = time.perf_counter_ns()
    packed, out = live.learn(packed, flat)
    report = np.asarray(out)
    return packed, report, time.perf_counter_ns() - begin
