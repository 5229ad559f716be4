"""Random actions judged once: the same numbers, never those of other runs, worlds or measures.

See also: tests/decide/loop/core/test_program_cache.py for files that are written whole.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from uncertain.decide.judge.measures import quality as judging
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.quality import Wanted, quality
from uncertain.decide.loop.core.program_cache import set_cache_folder

RANDOM = Cell("linear", "linear", "smc", "random", None, 1, 0, 4, 0.0, 3, 5, 2)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Cell]]:
    """The cells that were judged anew, with a folder to remember in."""
    found: list[Cell] = []
    plain = judging.judge_runs

    def counting(agent, world, cell, first, count, wanted):
        found.append(cell)
        return plain(agent, world, cell, first, count, wanted)

    monkeypatch.setattr(judging, "judge_runs", counting)
    set_cache_folder(tmp_path / "programs")
    yield found
    set_cache_folder(None)


def same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
        assert np.asarray(one[name]).dtype == np.asarray(other[name]).dtype


def test_random_actions_are_judged_once_and_are_the_same(judged: list[Cell]) -> None:
    first = quality(RANDOM, 0, 2, Wanted())
    again = quality(RANDOM, 0, 2, Wanted())
    assert judged == [RANDOM]
    same(first, again)
    set_cache_folder(None)
    same(first, quality(RANDOM, 0, 2, Wanted()))
    assert len(judged) == 2


def test_whatever_numbers_depend_on_is_told_apart(judged: list[Cell]) -> None:
    other = [
        (RANDOM, 0, 2, Wanted()),
        (RANDOM, 1, 2, Wanted()),
        (RANDOM, 0, 1, Wanted()),
        (RANDOM, 0, 2, Wanted(joint=(2,))),
        (replace(RANDOM, seed=6), 0, 2, Wanted()),
        (replace(RANDOM, steps=4), 0, 2, Wanted()),
        (replace(RANDOM, world="linear:noise=2"), 0, 2, Wanted()),
    ]
    for asked in other:
        quality(*asked)
    assert len(judged) == len(other)


def test_long_runs_are_told_apart_by_their_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Too long for a memory of all events, whose size tells shorter ones apart.
    lengths = (judging.WHOLE + 1, judging.WHOLE + 2)
    monkeypatch.setattr(
        judging, "judge_runs", lambda agent, world, cell, *_: {"lower": np.full(2, cell.steps)}
    )
    set_cache_folder(tmp_path / "programs")
    try:
        for steps in (*lengths, *lengths):
            found = quality(replace(RANDOM, steps=steps), 0, 2, Wanted())
            assert found["lower"].tolist() == [steps, steps]
    finally:
        set_cache_folder(None)


def test_other_flags_may_sum_in_another_order(
    judged: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    quality(RANDOM, 0, 2, Wanted())
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    quality(RANDOM, 0, 2, Wanted())
    assert len(judged) == 2


def test_only_random_actions_are_remembered(judged: list[Cell]) -> None:
    chosen = replace(RANDOM, rule="eig")
    quality(chosen, 0, 1, Wanted())
    quality(chosen, 0, 1, Wanted())
    assert judged == [chosen, chosen]


def test_a_users_own_world_is_judged_each_time(judged: list[Cell], tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from uncertain.posteriors.models.linear import Linear\n\nmine = Linear(features=2)\n"
    )
    own = replace(RANDOM, world=f"{file}:mine", model=f"{file}:mine")
    quality(own, 0, 1, Wanted())
    quality(own, 0, 1, Wanted())
    assert judged == [own, own]


def test_a_damaged_file_is_made_again(judged: list[Cell], tmp_path: Path) -> None:
    first = quality(RANDOM, 0, 2, Wanted())
    (file,) = (tmp_path / "random").iterdir()
    whole = file.read_bytes()
    for content in (b"", whole[:-3], whole[:40] + b"x" + whole[41:]):
        file.write_bytes(content)
        same(first, quality(RANDOM, 0, 2, Wanted()))
        assert file.read_bytes() == whole
    assert len(judged) == 4
