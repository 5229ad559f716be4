"""Keyed streams: one belief per key, N of them in one batched state, the rest spilled to a store.

The key of a line selects its stream, which starts at the prior, is read back from the store, or is
in memory already; the least recently used stream is spilled to make room. A stream's decisions do
not depend on where it lies: its random numbers come from the run's seed and its key.

See also: decide/loop/core/batched_state.py for rows, streams/storage/spill.py for the store.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import msgspec
import numpy as np

from ....streams.storage.spill import Spill, stream_name, version_check
from ..core.batched_state import Packed, read_row, select_row, write_row
from ..core.compiled import build_learn, learning_step
from ..core.step import Agent
from .pending import PendingDecisions
from .stream_state import StreamState, pending_actions, restore_stream, stream_facts

Key = str | int
KEY_WORDS = 2
"""32-bit words of a random key: two of 10 000 streams collide once in 10^11 runs."""


class RowCalls(NamedTuple):
    """Compiled calls on the current row of a batched state.

    fresh: (packed, words `[2]` uint32) -> packed; row at the prior, with that random key.
    put: (packed, one) -> packed; row as `take` returned it. Both consume `packed`.
    take: packed -> one; the row as packed state of one belief.
    traces: () -> count of traces.
    """

    fresh: Callable[[Packed, np.ndarray], Packed]
    put: Callable[[Packed, Packed], Packed]
    take: Callable[[Packed], Packed]
    traces: Callable[[], int]


@lru_cache(maxsize=64)
def build_row_calls(agent: Agent) -> RowCalls:
    """Compile the calls on rows of an agent's batched state.

    agent: agent with `rows` > 0.

    Returns: the compiled calls.
    """
    learning, step, traced = build_learn(agent), learning_step(agent), [0]

    def first(words: Any) -> Packed:
        traced[0] += 1
        return learning.pack(step.init(jax.random.wrap_key_data(words)))

    def put_traced(packed: Packed, one: Packed) -> Packed:
        traced[0] += 1
        return write_row(packed, one)

    def take_traced(packed: Packed) -> Packed:
        traced[0] += 1
        return read_row(packed)

    begin, put = jax.jit(first), jax.jit(put_traced, donate_argnums=0)
    take = jax.jit(take_traced)

    def fresh(packed: Packed, words: np.ndarray) -> Packed:
        return put(packed, begin(words))

    # A row comes from `begin` or from the host: compile for both.
    packed = fresh(learning.init(jax.random.key(0)), np.zeros(KEY_WORDS, np.uint32))
    packed = select_row(packed, np.int32(0))
    jax.block_until_ready(put(packed, tuple(np.asarray(x) for x in take(packed))))
    return RowCalls(fresh, put, take, lambda: traced[0])


def stream_key(seed: int, key: Key) -> np.ndarray:
    """Derive the random key of a stream: a hash of the run's seed and the stream's key.

    seed: seed of the run.
    key: key of the stream.

    Returns: `[2]` uint32.
    """
    text = msgspec.msgpack.encode((seed, key))
    digest = hashlib.blake2b(text, digest_size=4 * KEY_WORDS).digest()
    return np.frombuffer(digest, "<u4").astype(np.uint32)


@dataclass
class Resident:
    """A stream in memory.

    stream: its state outside the model.
    row: `[]` int32 its row.
    number: number of the last line that changed it; 0 for none.
    versions: line numbers of its versions in the store; None while unknown.
    """

    stream: StreamState
    row: Any
    number: int = 0
    versions: list[int] | None = None


@dataclass
class PendingTotals:
    """Totals over all streams.

    count: pending decisions.
    dropped: decisions dropped beyond the horizon.
    """

    count: int = 0
    dropped: int = 0

    def __len__(self) -> int:
        return self.count


@dataclass
class StreamCounts:
    """Counts of streams.

    known: streams that exist.
    spilled, loaded: how often one left memory, or was read back.
    """

    known: int = 0
    spilled: int = 0
    loaded: int = 0


@dataclass
class KeyedStreams:
    """The streams of an agent of `agent.rows` rows. Compiles when made.

    agent: the agent.
    field: field of a line that holds the key of its stream.
    seed: seed of the run.
    horizon: pending decisions per stream.
    size: numbers in an action.
    store: holds the spilled streams.
    number: lines accepted.
    held: XOR of `version_check` over the newest versions of streams that are not in memory.
    checkpoints: line numbers of the checkpoints that a run may resume from.
    memory: resident streams by key, the least recently used first.
    pending, counts: totals over all streams.
    """

    agent: Agent
    field: str
    seed: int
    horizon: int
    size: int
    store: Spill
    number: int = 0
    held: int = 0
    checkpoints: Iterable[int] = ()
    memory: OrderedDict[Key, Resident] = dataclasses.field(default_factory=OrderedDict)
    pending: PendingTotals = dataclasses.field(default_factory=PendingTotals)
    counts: StreamCounts = dataclasses.field(default_factory=StreamCounts)

    def __post_init__(self) -> None:
        begin = time.perf_counter()
        self.calls = build_row_calls(self.agent)
        self.compile = time.perf_counter() - begin
        shapes = jax.eval_shape(self.calls.take, build_learn(self.agent).init(jax.random.key(0)))
        self._shapes = [(x.shape, np.dtype(x.dtype)) for x in shapes]

    @property
    def bytes(self) -> int:
        """Bytes of one stream's belief."""
        return sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in self._shapes)

    def enter(self, packed: Packed, key: Key) -> tuple[Packed, StreamState]:
        """Make the stream of a line current, reading or creating it where needed.

        packed: batched state; consumed.
        key: key of the stream.

        Returns: the batched state with the stream's row current; the stream.
        Raises: UsageError if the store cannot be used.
        """
        self.number += 1
        resident = self.memory.get(key)
        if resident is None:
            packed, resident = self._bring(packed, key)
            self.memory[key] = resident
        else:
            self.memory.move_to_end(key)
        waiting = resident.stream.pending
        self._current, self._before = resident, (len(waiting), waiting.dropped)
        return select_row(packed, resident.row), resident.stream

    def select_current(self, packed: Packed) -> Packed:
        """Set the current row as a host number again: JAX would compile for a row of its own.

        packed: batched state.

        Returns: the batched state.
        """
        return select_row(packed, self._current.row)

    def commit(self) -> None:
        """Record that the current line was accepted."""
        self._current.number = self.number
        waiting, (count, dropped) = self._current.stream.pending, self._before
        self.pending.count += len(waiting) - count
        self.pending.dropped += waiting.dropped - dropped

    def _bring(self, packed: Packed, key: Key) -> tuple[Packed, Resident]:
        """Read or create a stream; spill the least recently used one where memory is full."""
        name = stream_name(key)
        versions = self.store.versions(name, self.number)
        known = bool(versions)
        if known:
            self.held ^= version_check(name, versions[-1])
        content = self.store.read_newest(name, versions)
        row = np.int32(len(self.memory))
        if len(self.memory) == self.agent.rows:
            oldest, resident = self.memory.popitem(last=False)
            row = resident.row
            self.spill(oldest, resident, lambda: self.calls.take(select_row(packed, row)))
        resident = Resident(StreamState(PendingDecisions(self.horizon)), row, 0, versions)
        packed = select_row(packed, row)
        if content is None:
            self.counts.known += not known
            return self.calls.fresh(packed, stream_key(self.seed, key)), resident
        self.counts.loaded += 1
        facts, actions, one = self._decoded(content)
        restore_stream(resident.stream, facts, actions)
        resident.number = versions[-1]
        return self.calls.put(packed, one), resident

    def spill(self, key: Key, resident: Resident, take: Callable[[], Packed]) -> None:
        """Write a stream that leaves memory to the store, and delete its superseded versions.

        key: key of the stream.
        resident: the stream.
        take: returns its packed state of one belief.
        """
        if resident.number == 0:
            # All of its lines were refused: it has no state to store.
            self.counts.known -= 1
            return
        self.counts.spilled += 1
        name, number = stream_name(key), resident.number
        self.held ^= version_check(name, number)
        versions = resident.versions
        if versions is None:
            versions = self.store.versions(name, number + 1)
        if number not in versions:
            self.store.write(name, number, self._encoded(key, resident.stream, take()))
        for old in superseded_versions(versions, number, self.checkpoints):
            self.store.delete(name, old)

    def _encoded(self, key: Key, stream: StreamState, one: Packed) -> bytes:
        rows = [np.asarray(x).tobytes() for x in one]
        actions = pending_actions(stream, self.size).tobytes()
        return msgspec.msgpack.encode((key, stream_facts(stream), actions, rows))

    def _decoded(self, content: bytes) -> tuple[dict[str, Any], np.ndarray, Packed]:
        _, facts, actions, rows = msgspec.msgpack.decode(content)
        one = tuple(
            np.frombuffer(row, dtype).reshape(shape)
            for row, (shape, dtype) in zip(rows, self._shapes, strict=True)
        )
        return facts, np.frombuffer(actions).reshape(-1, self.size), one


def superseded_versions(
    versions: Iterable[int], newest: int, checkpoints: Iterable[int]
) -> list[int]:
    """List the versions of a stream that no resume needs.

    A resume from now needs the newest version; a resume from a checkpoint needs the newest by then.

    versions: line numbers of the versions in the store.
    newest: line number of the newest version.
    checkpoints: line numbers of the checkpoints.

    Returns: line numbers of the versions to delete.
    """
    there = [*versions, newest]
    needed = {max((v for v in there if v <= point), default=newest) for point in checkpoints}
    return [v for v in versions if v != newest and v not in needed]


__all__ = ["KeyedStreams", "Resident", "build_row_calls", "stream_key"]
