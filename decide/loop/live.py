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
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Arms, Event, example_event
from .kept import kept
from .packing import Packing, packing
from .rows import changing, many_of, reading
from .step import Agent, Decision, Learned, Request, State, Step, blank_request, build_step

FloatArray = np.ndarray


class Learning(NamedTuple):
    """The compiled learning call over host arrays, and what it needs.

    init(seed key) -> packed state. learn(packed, event array) -> (packed, flat result); it
    consumes `packed`. write_event and read_learned turn structures into host arrays and back
    without touching JAX. unpack(packed) -> State, pack and read_event are for use inside a trace,
    and of one belief: of an agent of many rows, whose packed states are as rows.py has them, of
    the row at hand. Its init gives rows that are all alike.
    """

    init: Callable[[Any], tuple[Any, ...]]
    learn: Callable[[tuple[Any, ...], FloatArray], tuple[tuple[Any, ...], Any]]
    write_event: Callable[[Event], FloatArray]
    read_learned: Callable[[FloatArray], Learned]
    unpack: Callable[[tuple[Any, ...]], State]
    pack: Callable[[State], tuple[Any, ...]]
    read_event: Callable[[Any], Event]
    compile: float
    traces: Callable[[], int]


class Live(NamedTuple):
    """Both compiled calls: those of `Learning`, and decide(packed, request array) -> flat result
    with its own write_request and read_decision."""

    init: Callable[[Any], tuple[Any, ...]]
    decide: Callable[[tuple[Any, ...], FloatArray], Any]
    learn: Callable[[tuple[Any, ...], FloatArray], tuple[tuple[Any, ...], Any]]
    write_request: Callable[[Request], FloatArray]
    write_event: Callable[[Event], FloatArray]
    read_decision: Callable[[FloatArray], Decision]
    read_learned: Callable[[FloatArray], Learned]
    compile: float
    traces: Callable[[], int]


def host_event(action: Any, observation: Any, time: Any, id: Any, weight: Any = 1.0) -> Event:
    """An event of host numbers, for `write_event`: they become one array before JAX sees them."""
    return Event(action, observation, time, id, weight)


def writer(example: Any) -> Callable[[Any], FloatArray]:
    """A function that writes a flat tuple of host numbers like `example` as one float array.

    Plain slices into one new array: each costs a tenth of what a tree traversal would.
    """
    edges = np.cumsum([0, *(np.size(x) for x in example)]).tolist()
    spans, total, real = list(pairwise(edges)), edges[-1], _float()

    def write(parts: Any) -> FloatArray:
        flat = np.empty(total, real)
        for (start, stop), part in zip(spans, parts, strict=True):
            flat[start:stop] = part.ravel() if isinstance(part, np.ndarray) else part
        return flat

    return write


def reader(example: Any) -> Callable[[Any], Any]:
    """The inverse of `pack_result` for trees like `example`; works on host and traced arrays."""
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
    """A tree as one float array, in leaf order, inside a trace."""
    return jnp.concatenate([jnp.ravel(x).astype(_float()) for x in jax.tree.leaves(tree)])


def _float() -> np.dtype:
    return np.dtype(jnp.result_type(float))


def _zeros(shapes: Any) -> Any:
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)


def learning_step(agent: Agent) -> Step:
    """What does not depend on where candidates come from."""
    return build_step(agent, 0 if isinstance(agent.model.actions, Arms) else 1)


@lru_cache(maxsize=64)
def build_learn(agent: Agent) -> Learning:
    """Compile an agent's learning call; `compile` is the seconds it took."""
    begin = time.perf_counter()
    step = learning_step(agent)
    traced = [0]
    event = example_event(agent.model)
    read_event, write_event = reader(event), writer(event)
    report: list[Any] = []

    @cache
    def layout() -> Packing:
        # Only where something is traced: it takes a trace of its own.
        return packing(jax.eval_shape(step.init, jax.random.key(0)))

    def unpack(packed: tuple[Any, ...]) -> State:
        return layout().unpack(packed)

    def traced_learn(packed: tuple[Any, ...], flat: Any) -> tuple[Any, Learned]:
        state, learned = step.learn(unpack(packed), read_event(flat))
        return layout().pack(state), learned

    body = kept(changing(traced_learn, agent.rows), name_of(agent, "learn"))

    def learn(packed: tuple[Any, ...], flat: Any) -> tuple[tuple[Any, ...], jax.Array]:
        traced[0] += 1
        packed, learned = body(packed, flat)
        report[:] = [_zeros(learned)]
        return packed, pack_result(learned)

    def traced_init(key: Any) -> tuple[Any, ...]:
        one = layout().pack(step.init(key))
        return many_of(one, agent.rows) if agent.rows else one

    made = jax.jit(kept(traced_init, name_of(agent, "init")))

    def init(key: Any) -> tuple[Any, ...]:
        return (*made(key), np.int32(0)) if agent.rows else made(key)

    call = jax.jit(learn, donate_argnums=0)
    blank = write_event(jax.tree.map(np.asarray, event))
    jax.block_until_ready(call(init(jax.random.key(0)), blank))
    seconds = time.perf_counter() - begin
    return Learning(
        init, call, write_event, reader(report[0]), unpack, lambda state: layout().pack(state),
        read_event, seconds, lambda: traced[0],
    )  # fmt: skip


def name_of(agent: Agent, call: str) -> str | None:
    """What a program of an agent's is kept by."""
    rows = f"{agent.rows} rows " if agent.rows else ""
    return f"{call} {rows}{agent.name}" if agent.name else None


class Deciding(NamedTuple):
    """The compiled call to decide, as in `Live`."""

    decide: Callable[[tuple[Any, ...], FloatArray], Any]
    write_request: Callable[[Request], FloatArray]
    read_decision: Callable[[FloatArray], Decision]
    compile: float
    traces: Callable[[], int]


@lru_cache(maxsize=64)
def build_live(agent: Agent, given: int = 0) -> Live:
    """Compile an agent's two calls; `compile` is the seconds both took.

    given: capacity of candidate sets that come from outside; 0 where they are made inside.
    """
    learning, deciding = build_learn(agent), build_decide(agent, given)
    return Live(
        learning.init,
        deciding.decide,
        learning.learn,
        deciding.write_request,
        learning.write_event,
        deciding.read_decision,
        learning.read_learned,
        learning.compile + deciding.compile,
        lambda: deciding.traces() + learning.traces(),
    )


@lru_cache(maxsize=64)
def build_decide(agent: Agent, given: int = 0, learner: Agent | None = None) -> Deciding:
    """Compile an agent's call to decide. given: as above.

    learner: whose state it reads, its own unless given; it must have the same posterior.
    """
    learning = build_learn(learner or agent)
    begin = time.perf_counter()
    step = build_step(agent, given)
    traced = [0]
    request = blank_request(agent, given)
    read_request, write_request = reader(request), writer(request)

    chosen: list[Any] = []

    def traced_decide(packed: tuple[Any, ...], flat: Any) -> Decision:
        return step.decide(learning.unpack(packed), read_request(flat))

    body = kept(reading(traced_decide, agent.rows), name_of(agent, f"decide {given}"))

    def decide(packed: tuple[Any, ...], flat: Any) -> jax.Array:
        traced[0] += 1
        decision = body(packed, flat)
        chosen[:] = [_zeros(decision)]
        return pack_result(decision)

    call = jax.jit(decide)
    packed = learning.init(jax.random.key(0))
    np.asarray(call(packed, write_request(jax.tree.map(np.asarray, request))))
    return Deciding(
        call,
        write_request,
        reader(chosen[0]),
        time.perf_counter() - begin,
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


def timed_decide(
    live: Live | Deciding, packed: tuple[Any, ...], flat: FloatArray
) -> tuple[FloatArray, int]:
    """The decision as a flat host array, and the nanoseconds until it was there."""
    begin = time.perf_counter_ns()
    out = np.asarray(live.decide(packed, flat))
    return out, time.perf_counter_ns() - begin


def timed_learn(
    live: Live | Learning, packed: tuple[Any, ...], flat: FloatArray
) -> tuple[tuple[Any, ...], FloatArray, int]:
    """The new state, what learning reported, and the nanoseconds until it was there."""
    begin = time.perf_counter_ns()
    packed, out = live.learn(packed, flat)
    report = np.asarray(out)
    return packed, report, time.perf_counter_ns() - begin
