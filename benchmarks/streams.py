"""What many streams in one process cost: microseconds a line, however many beliefs are in memory.

    python benchmarks/streams.py [lines]

So many lines (20 000 unless given), requests and observations in turn, of a linear model with 10
arms and 16 features under `laplace`: alone, then of streams at random, all in memory, for each N;
the kinds take turns in blocks, so that a busy moment is shared. Then with room for a tenth of the
streams, where nine lines of ten find theirs spilled, and what a checkpoint of N rows takes. Not
here: whether streams disturb each other (tests/decide/loop/server/test_keyed_streams.py).
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np
from uncertain.cli.commands.run import RunOptions
from uncertain.cli.live.run import build_server
from uncertain.decide.loop.durable.durable import CheckpointInterval, DurableServer
from uncertain.decide.loop.server.server import Server
from uncertain.streams.formats.record import Record, Where
from uncertain.streams.storage.spill import Spill

MODEL, FEATURES, BLOCK, SEED = "linear:arms=10:features=16", 16, 500, 0
STREAMS = (1, 1_000, 10_000)
ROOM = 10
"""Streams for each that there is room for, where they are spilled."""
ALONE = "alone"


def server_of(folder: Path, rows: int) -> Server:
    options = RunOptions(model=MODEL, key_by="user", streams=rows)
    return build_server(options, Spill(folder / f"spilled {rows}"))


def given(streams: int, count: int) -> list[Record]:
    """Requests and observations in turn; each stream once, then at random."""
    rng, found = np.random.default_rng(SEED), []
    for i in range(count // 2):
        key = f"u{rng.integers(streams)}"
        x = rng.normal(size=FEATURES).tolist()
        found.append(Record(i, Where("lines", 2 * i + 1), x=x, key=key))
        found.append(Record(i, Where("lines", 2 * i + 2), y=float(rng.normal()), key=key))
    return found


def shown(name: str, server: Server, lines: list[int]) -> None:
    """Percentiles of the compiled calls and of whole lines, in microseconds."""
    parts = []
    for what, spent in (
        ("decide", server.counters.decide), ("learn", server.counters.learn), ("line", lines)
    ):  # fmt: skip
        middle, high = np.quantile(np.array(spent) / 1e3, (0.5, 0.99))
        parts.append(f"{what} p50 {middle:7.1f} p99 {high:8.1f}")
    print(f"{name:24} {'   '.join(parts)}", flush=True)


def first_lines(server: Server, streams: int) -> None:
    """Have every stream there; what that took does not count."""
    for i in range(streams):
        server.answer(Record("first", Where("first", i + 1), x=[0.0] * FEATURES, key=f"u{i}"))
    server.counters.decide.clear()
    server.counters.learn.clear()


def main(folder: Path, count: int) -> None:
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    print(
        f"{MODEL}, laplace, {count} lines, seed {SEED}; uncertain {version('uncertain')}, jax "
        f"{version('jax')}; microseconds"
    )
    servers = {ALONE: build_server(RunOptions(model=MODEL))}
    asked = {ALONE: given(1, count)}
    for n in STREAMS:
        name = f"N = {n:,}"
        servers[name], asked[name] = server_of(folder, n), given(n, count)
        first_lines(servers[name], n)
    rows = STREAMS[1]
    spilling = f"N = {rows:,} of {ROOM * rows:,}"
    servers[spilling] = server_of(folder / "room", rows)
    asked[spilling] = given(ROOM * rows, count)
    first_lines(servers[spilling], ROOM * rows)
    lines: dict[str, list[int]] = {name: [] for name in servers}
    for start in range(0, count, BLOCK):
        for name, server in servers.items():
            for record in asked[name][start : start + BLOCK]:
                begin = time.perf_counter_ns()
                server.answer(record)
                lines[name].append(time.perf_counter_ns() - begin)
    for name, server in servers.items():
        shown(name, server, lines[name])
    many = servers[spilling].keyed
    assert many is not None
    print(f"belief of a stream: {many.bytes:,} bytes; {spilling}: {many.counts.loaded:,} loaded")
    for n in STREAMS:
        kept = DurableServer(
            servers[f"N = {n:,}"], str(folder / f"kept {n}"), {}, CheckpointInterval()
        )
        kept.answer(Record("last", Where("last", 1), x=[0.0] * FEATURES, key="u0"))
        kept.checkpoint()
        print(f"checkpoint of N = {n:,}: {kept.cost.seconds[-1] * 1e3:,.0f} ms")
        kept.close()


if __name__ == "__main__":
    scratch = Path(tempfile.mkdtemp())
    try:
        main(scratch, int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
    finally:
        shutil.rmtree(scratch)
