"""A server that is made or restored compiles nothing more, counted by JAX's own events.

See also: tests/contract_checks.py for what is traced.
"""

from pathlib import Path
from typing import Any

import jax
import pytest
from uncertain.cli.commands.run import RunOptions
from uncertain.cli.live.run import build_server
from uncertain.decide.loop.durable.snapshot import restore_snapshot, take_snapshot
from uncertain.decide.loop.server.server import Server
from uncertain.streams.formats.record import Record, Where
from uncertain.streams.storage.spill import Spill

COMPILED: list[str] = []


def note(event: str, seconds: float, **details: Any) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        COMPILED.append(event)


jax.monitoring.register_event_duration_secs_listener(note)

ARMS: dict[str, Any] = {"model": "linear:arms=3:features=1"}
PLACES: dict[str, Any] = {"model": "location", "rule": "eig", "candidates": 4}
RUNS: dict[str, dict[str, Any]] = {
    "laplace": {**ARMS, "posterior": "laplace"},
    "point": {**ARMS, "posterior": "point"},
    "smc": {**PLACES, "posterior": "smc:particles=8"},
    "svgd": {**PLACES, "posterior": "svgd:particles=8", "think": 2},
    "ensemble": {**PLACES, "posterior": "ensemble:particles=4"},
    "deadline": {**PLACES, "posterior": "smc:particles=8", "deadline": 0.05},
    "exact": {"model": "finite", "posterior": "exact", "rule": "eig"},
    "keyed": {**ARMS, "posterior": "laplace", "key_by": "user", "streams": 2},
}


def made(name: str, folder: Path) -> Server:
    options = RunOptions(**RUNS[name])
    return build_server(options, Spill(folder) if options.key_by else None)


def lines(name: str, start: int, stop: int) -> list[Record]:
    """Requests and their observations, of three streams where they are keyed."""
    x = [0.5] if RUNS[name]["model"] == ARMS["model"] else None
    found = []
    for i in range(start, stop):
        key = f"user{i % 3}" if name == "keyed" else None
        found += [Record(i, Where("s", i), x=x, key=key), Record(i, Where("s", i), y=1.0, key=key)]
    return found


def served(server: Server, records: list[Record]) -> int:
    """How many programs are compiled while these lines are answered."""
    before = len(COMPILED)
    for record in records:
        server.answer(record)
        if server.can_refine:
            server.refine_once()
    return len(COMPILED) - before


@pytest.mark.parametrize("name", RUNS)
def test_nothing_compiles_after_ready(name: str, tmp_path: Path) -> None:
    fresh = made(name, tmp_path / "one")
    assert served(fresh, lines(name, 0, 4)) == 0
    resumed = made(name, tmp_path / "one")
    restore_snapshot(resumed, take_snapshot(fresh))
    assert served(resumed, lines(name, 4, 8)) == 0
    # The state after a checkpoint is not another's either.
    take_snapshot(resumed)
    assert served(resumed, lines(name, 8, 10)) == 0


def test_a_program_that_was_not_made_ready_is_counted(tmp_path: Path) -> None:
    server = made("laplace", tmp_path)
    before = len(COMPILED)
    jax.jit(lambda x: 2 * x)(server._packed[0])
    assert len(COMPILED) == before + 1
