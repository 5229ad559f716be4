"""The live loop: one event at a time, one compiled call to decide and one to learn.

The state is a few flat arrays, donated; requests and events are one packed array each. Latency is
host time around each call, blocking on its result, with nothing else inside.

See also: step.py for the functions that are compiled, rollout.py for many seeds at once.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np

from ....posteriors.base import Arms, Event
from ....posteriors.placeholders import example_event
from .batched_state import on_row, repeat_rows, updating_row
from .host_arrays import FloatArray, build_reader, build_writer, host_zeros, pack_result
from .packing import Packing, build_packing
from .program_cache import cached_program
from .step import Agent, Decision, Learned, Request, State, Step, blank_request, build_step

Packed = tuple[Any, ...]


def learning_step(agent: Agent) -> Step:
    """Build an agent's functions that do not depend on where candidates come from.

    agent: the agent.

    Returns: its functions; `decide` is not for use.
    """
    return build_step(agent, 0 if isinstance(agent.model.actions, Arms) else 1)


def program_name(agent: Agent, call: str) -> str | None:
    """Name a program of an agent, for the program cache.

    agent: the agent.
    call: the function of the agent, with its settings.

    Returns: the name; None for an agent without one.
    """
    rows = f"{agent.rows} rows " if agent.rows else ""
    return f"{call} {rows}{agent.name}" if agent.name else None


class LearnCalls:
    """The compiled learning call of an agent over host arrays. Compiles when made.

    learn: (packed, event array) -> (packed, flat result); consumes `packed`.
    write_event, read_learned: between structures and host arrays, without JAX.
    read_event: the event in an event array, inside a trace.
    compile: seconds of compilation.
    """

    def __init__(self, agent: Agent) -> None:
        begin = time.perf_counter()
        self._step, self._rows, self._traced = learning_step(agent), agent.rows, 0
        self._learned: Any = None
        event = example_event(agent.model)
        self.read_event, self.write_event = build_reader(event), build_writer(event)
        body = updating_row(self._learn_one, agent.rows)
        self._body = cached_program(body, program_name(agent, "learn"))
        self._init = jax.jit(cached_program(self._init_all, program_name(agent, "init")))
        self.learn = jax.jit(self._learn, donate_argnums=0)
        blank = self.write_event(jax.tree.map(np.asarray, event))
        jax.block_until_ready(self.learn(self.init(jax.random.key(0)), blank))
        self.read_learned: Callable[[FloatArray], Learned] = build_reader(self._learned)
        self.compile = time.perf_counter() - begin

    def init(self, key: Any) -> Packed:
        """Build the packed state before any event; all rows alike, the first current.

        key: random key.

        Returns: the packed state; batched (batched_state.py) for an agent of many rows.
        """
        packed = self._init(key)
        return (*packed, np.int32(0)) if self._rows else packed

    def unpack(self, packed: Packed) -> State:
        """Unpack the state of one belief, inside a trace.

        packed: packed state of one belief.

        Returns: the state.
        """
        return self._layout.unpack(packed)

    def pack(self, state: State) -> Packed:
        """Pack the state of one belief, inside a trace.

        state: the state.

        Returns: the packed state.
        """
        return self._layout.pack(state)

    def traces(self) -> int:
        """Count the traces of the call; constant once made."""
        return self._traced

    @cached_property
    def _layout(self) -> Packing:
        # Only where something is traced: it takes a trace of its own.
        return build_packing(jax.eval_shape(self._step.init, jax.random.key(0)))

    def _init_all(self, key: Any) -> Packed:
        one = self.pack(self._step.init(key))
        return repeat_rows(one, self._rows) if self._rows else one

    def _learn_one(self, packed: Packed, flat: Any) -> tuple[Packed, Learned]:
        state, learned = self._step.learn(self.unpack(packed), self.read_event(flat))
        return self.pack(state), learned

    def _learn(self, packed: Packed, flat: Any) -> tuple[Packed, jax.Array]:
        self._traced += 1
        packed, learned = self._body(packed, flat)
        self._learned = host_zeros(learned)
        return packed, pack_result(learned)


@lru_cache(maxsize=64)
def build_learn(agent: Agent) -> LearnCalls:
    """Compile an agent's learning call, once per agent.

    agent: the agent.

    Returns: the compiled call.
    """
    return LearnCalls(agent)


class DecideCalls:
    """The compiled decision of an agent over host arrays. Compiles when made.

    decide: (packed, request array) -> flat result.
    write_request, read_decision: between structures and host arrays, without JAX.
    compile: seconds of compilation, without the learner's.
    """

    def __init__(self, agent: Agent, given: int = 0, learner: Agent | None = None) -> None:
        self._learning = build_learn(learner or agent)
        begin = time.perf_counter()
        self._step, self._traced = build_step(agent, given), 0
        self._decision: Any = None
        request = blank_request(agent, given)
        self._read_request, self.write_request = build_reader(request), build_writer(request)
        body = on_row(self._decide_one, agent.rows)
        self._body = cached_program(body, program_name(agent, f"decide {given}"))
        self.decide = jax.jit(self._decide)
        packed = self._learning.init(jax.random.key(0))
        np.asarray(self.decide(packed, self.write_request(jax.tree.map(np.asarray, request))))
        self.read_decision: Callable[[FloatArray], Decision] = build_reader(self._decision)
        self.compile = time.perf_counter() - begin

    def traces(self) -> int:
        """Count the traces of the call; constant once made."""
        return self._traced

    def _decide_one(self, packed: Packed, flat: Any) -> Decision:
        return self._step.decide(self._learning.unpack(packed), self._read_request(flat))

    def _decide(self, packed: Packed, flat: Any) -> jax.Array:
        self._traced += 1
        decision = self._body(packed, flat)
        self._decision = host_zeros(decision)
        return pack_result(decision)


@lru_cache(maxsize=64)
def build_decide(agent: Agent, given: int = 0, learner: Agent | None = None) -> DecideCalls:
    """Compile an agent's decision, once per set of arguments.

    agent: the agent.
    given: capacity of candidate sets listed by the client; 0 where the agent makes its own.
    learner: agent with the same posterior whose state is read; None for `agent` itself.

    Returns: the compiled call.
    """
    return DecideCalls(agent, given, learner)


class LiveCalls(NamedTuple):
    """Both compiled calls of an agent, with the members of `LearnCalls` and `DecideCalls`."""

    init: Callable[[Any], Packed]
    decide: Callable[[Packed, FloatArray], Any]
    learn: Callable[[Packed, FloatArray], tuple[Packed, Any]]
    write_request: Callable[[Request], FloatArray]
    write_event: Callable[[Event], FloatArray]
    read_decision: Callable[[FloatArray], Decision]
    read_learned: Callable[[FloatArray], Learned]
    compile: float
    traces: Callable[[], int]


@lru_cache(maxsize=64)
def build_live(agent: Agent, given: int = 0) -> LiveCalls:
    """Compile an agent's two calls, once per set of arguments.

    agent: the agent.
    given: capacity of candidate sets listed by the client; 0 where the agent makes its own.

    Returns: both calls; `compile` is the seconds of both.
    """
    learning, deciding = build_learn(agent), build_decide(agent, given)
    return LiveCalls(
        learning.init, deciding.decide, learning.learn, deciding.write_request,
        learning.write_event, deciding.read_decision, learning.read_learned,
        learning.compile + deciding.compile, lambda: deciding.traces() + learning.traces(),
    )  # fmt: skip


@contextmanager
def pause_gc():
    """Pause garbage collection inside the block, so that its pauses are not measured."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def timed_decide(
    live: LiveCalls | DecideCalls, packed: tuple[Any, ...], flat: FloatArray
) -> tuple[FloatArray, int]:
    """Decide, and time it on the host.

    live: the compiled calls.
    packed: packed state; not consumed.
    flat: request array.

    Returns: the flat decision on the host; nanoseconds until it was there.
    """
    begin = time.perf_counter_ns()
    out = np.asarray(live.decide(packed, flat))
    return out, time.perf_counter_ns() - begin


def timed_learn(
    live: LiveCalls | LearnCalls, packed: tuple[Any, ...], flat: FloatArray
) -> tuple[tuple[Any, ...], FloatArray, int]:
    """Learn one event, and time it on the host.

    live: the compiled calls.
    packed: packed state; consumed.
    flat: event array.

    Returns: the new packed state; the flat report on the host; nanoseconds until it was there.
    """
    begin = time.perf_counter_ns()
    packed, out = live.learn(packed, flat)
    report = np.asarray(out)
    return packed, report, time.perf_counter_ns() - begin
