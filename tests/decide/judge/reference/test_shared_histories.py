"""Shared histories: logged once, the same however they are asked for, never another's."""

from pathlib import Path

import numpy as np
import pytest
from uncertain.decide.judge.reference import shared_histories as module
from uncertain.decide.judge.reference.shared_histories import BLOCK, HISTORIES, shared_histories
from uncertain.decide.loop.core import program_cache
from uncertain.streams.worlds.registry import build_world

ASKED = "finite", 3, 4, 5


@pytest.fixture
def place(tmp_path: Path):
    """A folder of its own for what is kept."""
    before = program_cache.cache_folder()
    program_cache.set_cache_folder(tmp_path / "programs")
    module._block.cache_clear()
    yield tmp_path / "references"
    program_cache.set_cache_folder(before)
    module._block.cache_clear()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every block that was made anew."""
    found: list[int] = []
    make = module.make_block
    monkeypatch.setattr(
        module, "make_block", lambda *given: (found.append(given[4]), make(*given))[1]
    )
    return found


def asked(first: int, count: int, seed: int = 5):
    """From the store: what this process remembers is forgotten."""
    module._block.cache_clear()
    world, steps, candidates, _ = ASKED
    return shared_histories(build_world(world), steps, candidates, seed, first, count)


def test_they_are_logged_once_however_they_are_asked_for(place: Path, made: list[int]) -> None:
    whole, gains = asked(0, BLOCK + 2)
    assert made == [0, 1]
    part, some = asked(1, BLOCK)
    assert made == [0, 1]
    np.testing.assert_array_equal(part.action, whole.action[1 : BLOCK + 1])
    np.testing.assert_array_equal(some, gains[1 : BLOCK + 1])
    assert part.context.shape == (BLOCK, *whole.context.shape[1:])
    assert gains.shape == (BLOCK + 2, 3, 2)
    assert (gains > 0).any()
    asked(0, 1, seed=6)
    assert made == [0, 1, 0]


def test_a_damaged_or_foreign_entry_is_made_again(place: Path, made: list[int]) -> None:
    whole, gains = asked(0, 1)
    (entry,) = place.glob(f"{HISTORIES}/*/*")
    body = bytearray((entry / "gains/c/0/0/0").read_bytes())
    body[-1] ^= 1
    (entry / "gains/c/0/0/0").write_bytes(bytes(body))
    _, same = asked(0, 1)
    assert made == [0, 0]
    np.testing.assert_array_equal(same, gains)
    # All that lies under this key is now another seed's.
    asked(0, 1, seed=6)
    here = entry.parent
    (other,) = {path.parent for path in place.glob(f"{HISTORIES}/*/*")} - {here}
    for attempt in here.iterdir():
        for file in attempt.rglob("*"):
            if file.is_file():
                file.unlink()
    for file in next(other.iterdir()).rglob("*"):
        target = here / "foreign" / file.relative_to(next(other.iterdir()))
        if file.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    once_more, _ = asked(0, 1)
    assert made == [0, 0, 0, 0]
    np.testing.assert_array_equal(once_more.action, whole.action)
