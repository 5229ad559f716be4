"""Programs are built once for cells of one shape, and workers are given what they hold already.

See also: tests/decide/loop/core/test_program_cache.py for the programs kept between processes.
"""

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from uncertain.decide.judge.engine.local_pool import (
    Piece,
    judge_cells,
    pick_piece,
    quality_or_failure,
)
from uncertain.decide.judge.engine.program_memory import hold_programs, sort_by_shape
from uncertain.decide.judge.measures.experiment import Cell, Experiment, Row, shape_of
from uncertain.decide.judge.measures.quality import Wanted, agent_and_world
from uncertain.decide.loop.core.rollout import compiled_rollout

GREEDY, RANDOM = Experiment(
    world="finite", steps=3, seeds=3, cells=[Row("exact", rule=r) for r in ("greedy", "random")]
).resolved()


def test_cells_that_differ_in_their_runs_have_one_program() -> None:
    hold_programs(replace(GREEDY, steps=1))
    hold_programs(GREEDY)
    for cell in (GREEDY, replace(GREEDY, seeds=8), replace(GREEDY, seed=4)):
        quality_or_failure(cell, 0, cell.seeds, Wanted(samples=0, gain=False))
    assert compiled_rollout.cache_info().misses == 1
    # Negative control: a cell of another shape needs its own, and nothing is left of the first.
    quality_or_failure(RANDOM, 0, RANDOM.seeds, Wanted(samples=0, gain=False))
    assert compiled_rollout.cache_info().misses == 1
    assert agent_and_world(RANDOM)[0] is not agent_and_world(GREEDY)[0]


def test_cells_of_one_shape_are_done_one_after_the_other() -> None:
    more = [replace(cell, seeds=seeds) for seeds in (1, 2) for cell in (GREEDY, RANDOM)]
    assert [(cell.rule, cell.seeds) for cell in sort_by_shape(more)] == [
        ("greedy", 1), ("greedy", 2), ("random", 1), ("random", 2),
    ]  # fmt: skip


def test_a_worker_is_given_what_it_holds_else_what_nobody_holds_else_anything() -> None:
    names = "abacb"
    waiting = [
        Piece(replace(GREEDY, seeds=n + 1), 0, 1, replace(GREEDY, world=name))
        for n, name in enumerate(names)
    ]
    shapes = {name: replace(GREEDY, world=name) for name in names}

    def taken(held: str | None, *others: str) -> str:
        place = pick_piece(waiting, shapes.get(held or ""), [shapes[name] for name in others])
        piece = waiting.pop(place)
        return f"{piece.shape.world}{piece.cell.seeds}"

    assert taken(None, "a") == "b2"
    assert taken("b", "a") == "b5"
    assert taken("b", "a") == "c4"
    assert taken("c", "a") == "a1"
    assert taken("a", "c") == "a3"
    assert not waiting


class Idle:
    """Workers that do what they are given at once, and remember who was given what."""

    count = 2

    def __init__(self) -> None:
        self.given: list[tuple[int, Cell]] = []

    def hand_over(self, number: int, owner: Any) -> bool:
        return False

    def submit(self, number: int, measure: Any, cell: Cell, *rest: Any) -> Future:
        self.given.append((number, cell))
        future: Future = Future()
        future.set_result(measure(cell, *rest))
        return future


def test_what_is_left_out_is_never_begun() -> None:
    cells = [replace(c, seeds=seeds) for c in (GREEDY, RANDOM) for seeds in (1, 2, 3)]
    workers: Any = Idle()
    found = judge_cells(
        cells,
        Wanted(),
        workers,
        lambda *_: None,
        lambda cell, first, count, wanted: {"lower": [cell.seed] * count},
        skip=lambda cell: cell.seeds == 2,
    )
    assert {cell.seeds for cell, _ in found} == {1, 3}
    begun = [(number, shape_of(cell).rule, cell.seeds) for number, cell in workers.given]
    # Each worker keeps to one shape.
    assert sorted(begun) == [
        (0, "greedy", 1), (0, "greedy", 3), (1, "random", 1), (1, "random", 3),
    ]  # fmt: skip
