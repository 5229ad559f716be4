"""Many streams, each with a belief of its own: N of them in one batched state, the rest spilled.

A line's key says whose turn it is. Its stream is made at the prior, read back, or there already;
what was not used for longest makes room. Where a stream lies changes nothing of what it decides,
and its random numbers come from the run's seed and its key alone. Not here: rows (rows.py), files
(streams/spilled.py), or answering (serve.py).
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

from ...streams.spilled import Spilled, name_of
from .live import build_learn, learning_step
from .rows import Packed, at, row_of, with_row
from .step import Agent
from .stream import Stream, actions_of, facts_of, filled
from .waiting import Waiting

Key = str | int
KEY_WORDS = 2
"""Of 32 bits, in a key of randomness: two of 10 000 streams share one once in 10^11 runs."""


class Rows(NamedTuple):
    """Compiled calls about the row at hand. fresh(packed, words) -> packed: at the prior, by the
    key of randomness `words [2]` uint32. put(packed, one) -> packed: what `take` gave. Both consume
    `packed`. take(packed) -> one. traces() -> how often anything was traced."""

    fresh: Callable[[Packed, np.ndarray], Packed]
    put: Callable[[Packed, Packed], Packed]
    take: Callable[[Packed], Packed]
    traces: Callable[[], int]


@lru_cache(maxsize=64)
def build_rows(agent: Agent) -> Rows:
    """Compile what an agent of many rows needs to change whose they are."""
    learning, step, traced = build_learn(agent), learning_step(agent), [0]

    def first(words: Any) -> Packed:
        traced[0] += 1
        return learning.pack(step.init(jax.random.wrap_key_data(words)))

    def put_traced(packed: Packed, one: Packed) -> Packed:
        traced[0] += 1
        return with_row(packed, one)

    def take_traced(packed: Packed) -> Packed:
        traced[0] += 1
        return row_of(packed)

    begin, put = jax.jit(first), jax.jit(put_traced, donate_argnums=0)
    take = jax.jit(take_traced)

    def fresh(packed: Packed, words: np.ndarray) -> Packed:
        return put(packed, begin(words))

    # A row comes from `begin` or from the host: nothing is left to compile for either.
    packed = fresh(learning.init(jax.random.key(0)), np.zeros(KEY_WORDS, np.uint32))
    packed = at(packed, np.int32(0))
    jax.block_until_ready(put(packed, tuple(np.asarray(x) for x in take(packed))))
    return Rows(fresh, put, take, lambda: traced[0])


def words_of(seed: int, key: Key) -> np.ndarray:
    """A stream's key of randomness, `[2]` uint32: a hash of the run's seed and its own key."""
    text = msgspec.msgpack.encode((seed, key))
    digest = hashlib.blake2b(text, digest_size=4 * KEY_WORDS).digest()
    return np.frombuffer(digest, "<u4").astype(np.uint32)


@dataclass
class Resident:
    """A stream in memory. row: `[]` int32. number: of the last line that changed it, 0 for none.
    versions: numbers of those that the store has, None where nobody looked yet."""

    stream: Stream
    row: Any
    number: int = 0
    versions: list[int] | None = None


@dataclass
class Waits:
    """Decisions of all streams that wait for their observation, and those dropped."""

    count: int = 0
    dropped: int = 0

    def __len__(self) -> int:
        return self.count


@dataclass
class Counts:
    """known: streams that there are. spilled, loaded: how often one left memory, or came back."""

    known: int = 0
    spilled: int = 0
    loaded: int = 0


@dataclass
class Many:
    """The streams of an agent of `agent.rows` rows. Compiles when made.

    field: of a line, whose value is the key of its stream. seed: the run's. horizon: decisions that
    may wait, of each stream. size: numbers in an action. number: lines taken in. kept: numbers of
    the checkpoints that may have to be gone on from.
    """

    agent: Agent
    field: str
    seed: int
    horizon: int
    size: int
    store: Spilled
    number: int = 0
    kept: Iterable[int] = ()
    memory: OrderedDict[Key, Resident] = dataclasses.field(default_factory=OrderedDict)
    waiting: Waits = dataclasses.field(default_factory=Waits)
    counts: Counts = dataclasses.field(default_factory=Counts)

    def __post_init__(self) -> None:
        begin = time.perf_counter()
        self.calls = build_rows(self.agent)
        self.compile = time.perf_counter() - begin
        shapes = jax.eval_shape(self.calls.take, build_learn(self.agent).init(jax.random.key(0)))
        self._shapes = [(x.shape, np.dtype(x.dtype)) for x in shapes]

    @property
    def bytes(self) -> int:
        """Of the belief of one stream."""
        return sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in self._shapes)

    def enter(self, packed: Packed, key: Key) -> tuple[Packed, Stream]:
        """A line of that stream has come: the state with its row at hand, and the stream. Consumes
        `packed`. Raises UsageError where the store cannot be used."""
        self.number += 1
        resident = self.memory.get(key)
        if resident is None:
            packed, resident = self._bring(packed, key)
            self.memory[key] = resident
        else:
            self.memory.move_to_end(key)
        waiting = resident.stream.waiting
        self._here, self._before = resident, (len(waiting), waiting.dropped)
        return at(packed, resident.row), resident.stream

    def here(self, packed: Packed) -> Packed:
        """The state with its row at hand as the host has it: JAX would compile for its own too."""
        return at(packed, self._here.row)

    def changed(self) -> None:
        """The line was taken in."""
        self._here.number = self.number
        waiting, (count, dropped) = self._here.stream.waiting, self._before
        self.waiting.count += len(waiting) - count
        self.waiting.dropped += waiting.dropped - dropped

    def _bring(self, packed: Packed, key: Key) -> tuple[Packed, Resident]:
        """Have a stream in memory that is not; the one not used for longest makes room."""
        name = name_of(key)
        versions = self.store.versions(name, self.number)
        content = self.store.read(name, versions[-1]) if versions else None
        row = np.int32(len(self.memory))
        if len(self.memory) == self.agent.rows:
            oldest, resident = self.memory.popitem(last=False)
            row = resident.row
            self.spill(oldest, resident, lambda: self.calls.take(at(packed, row)))
        resident = Resident(Stream(Waiting(self.horizon)), row, 0, versions)
        packed = at(packed, row)
        if content is None:
            self.counts.known += 1
            return self.calls.fresh(packed, words_of(self.seed, key)), resident
        self.counts.loaded += 1
        facts, actions, one = self._decoded(content)
        filled(resident.stream, facts, actions)
        resident.number = versions[-1]
        return self.calls.put(packed, one), resident

    def spill(self, key: Key, resident: Resident, take: Callable[[], Packed]) -> None:
        """Have a stream in the store that leaves memory. take: gives its row."""
        if resident.number == 0:
            # Its lines were all refused: there is nothing to know of it.
            self.counts.known -= 1
            return
        self.counts.spilled += 1
        name, number = name_of(key), resident.number
        versions = resident.versions
        if versions is None:
            versions = self.store.versions(name, number + 1)
        if number not in versions:
            self.store.write(name, number, self._encoded(key, resident.stream, take()))
        for old in superseded(versions, number, self.kept):
            self.store.drop(name, old)

    def _encoded(self, key: Key, stream: Stream, one: Packed) -> bytes:
        rows = [np.asarray(x).tobytes() for x in one]
        actions = actions_of(stream, self.size).tobytes()
        return msgspec.msgpack.encode((key, facts_of(stream), actions, rows))

    def _decoded(self, content: bytes) -> tuple[dict[str, Any], np.ndarray, Packed]:
        _, facts, actions, rows = msgspec.msgpack.decode(content)
        one = tuple(
            np.frombuffer(row, dtype).reshape(shape)
            for row, (shape, dtype) in zip(rows, self._shapes, strict=True)
        )
        return facts, np.frombuffer(actions).reshape(-1, self.size), one


def superseded(versions: Iterable[int], newest: int, kept: Iterable[int]) -> list[int]:
    """Versions that nobody is going to read: neither who goes on from now, the newest, nor who goes
    on from a checkpoint, the newest by then."""
    there = [*versions, newest]
    needed = {max((v for v in there if v <= point), default=newest) for point in kept}
    return [v for v in versions if v != newest and v not in needed]


__all__ = ["Many", "Resident", "build_rows", "words_of"]
