"""Programs kept between processes: the same results, not traced again, never stale or torn."""

import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from uncertain.decide.loop.core import program_cache as keeping
from uncertain.decide.loop.core.agent import build_agent
from uncertain.decide.loop.core.compiled import build_decide, build_learn, build_live
from uncertain.decide.loop.core.program_cache import cached_program, model_name
from uncertain.decide.loop.core.rollout import build_rollout, compiled_rollout, roll_out
from uncertain.posteriors.registry import build_model
from uncertain.streams.worlds.registry import build_world
from uncertain.streams.worlds.wheel import wheel_world


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    keeping.set_cache_folder(tmp_path / "programs")
    yield tmp_path / "programs"
    keeping.set_cache_folder(None)


class Pair(NamedTuple):
    draws: Any
    rest: Any


def program(traced: list[int], key: Any, state: Pair) -> Pair:
    traced[0] += 1
    noise = jax.random.normal(key, state.draws.shape)
    return Pair(state.draws + noise, {"sum": jnp.sum(noise), "none": None})


GIVEN = jax.random.key(3), Pair(np.arange(4.0, dtype=np.float32), ())


def call(traced: list[int], name: str | None = "p", given: Any = GIVEN) -> Any:
    return jax.jit(cached_program(lambda *x: program(traced, *x), name))(*given)


def same(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_kept_program_is_not_traced_again(folder: Path) -> None:
    traced = [0]
    plain = call(traced, None)
    first = call(traced)
    assert traced == [2]
    again = call(traced)
    assert traced == [2]
    same(first, plain)
    same(again, plain)


def test_other_names_and_shapes_are_other_programs(folder: Path) -> None:
    traced = [0]
    call(traced)
    call(traced, "q")
    wider = GIVEN[0], Pair(np.zeros(5, np.float32), ())
    assert call(traced, "p", wider).draws.shape == (5,)
    assert traced == [3]
    with jax.enable_x64(True):
        call(traced)
    assert traced == [4]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_what_is_damaged_is_made_again(folder: Path, damage: str) -> None:
    traced = [0]
    first = call(traced)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    flipped = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
    wrong = {"cut": whole[:-20], "flip": flipped, "empty": b"", "other": b"x" * 99}
    file.write_bytes(wrong[damage])
    same(call(traced), first)
    assert traced == [2]
    same(call(traced), first)
    assert traced == [2]  # kept anew


class Harmful:
    """Makes a file when it is read as a pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(folder: Path, tmp_path: Path) -> None:
    pickled = pickle.dumps(Harmful(tmp_path / "run"))
    pickle.loads(pickled)
    assert (tmp_path / "run").exists()
    (tmp_path / "run").unlink()
    traced = [0]
    first = call(traced)
    (file,) = folder.iterdir()
    whole = keeping.read_checked(file)
    for body in (pickled, keeping.LENGTH.pack(len(pickled)) + pickled, whole[:9], b""):
        before = list(traced)
        keeping.write_checked(file, body)
        same(call(traced), first)
        assert traced == [before[0] + 1]
    assert not (tmp_path / "run").exists()
    assert keeping.read_checked(file) == whole


def test_others_cannot_read_or_write_what_is_stored(folder: Path) -> None:
    before = os.umask(0)
    try:
        call([0])
    finally:
        os.umask(before)
    (file,) = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_other_text_or_settings_are_other_programs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "package" / "part.py"
    source.parent.mkdir()
    package = SimpleNamespace(__path__=[str(source.parent)])
    monkeypatch.setattr(keeping, "import_module", lambda name: package)
    traced = [0]
    for count, text in ((1, "x = 1"), (1, "x = 1"), (2, "x = 2"), (2, "x = 1")):
        source.write_text(text)
        keeping.source_stamp.cache_clear()
        call(traced)
        assert traced == [count]
    with jax.default_matmul_precision("highest"):
        call(traced)
    assert traced == [3]
    keeping.source_stamp.cache_clear()


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keeping.set_cache_folder(tmp_path / "file" / "programs")
    traced = [0]
    try:
        same(call(traced), call(traced))
    finally:
        keeping.set_cache_folder(None)
    assert traced == [2]


def test_what_cannot_be_kept_is_traced(folder: Path) -> None:
    class Local(NamedTuple):
        """Of a kind that nobody could import again."""

        value: Any

    for _ in range(2):
        out = jax.jit(cached_program(lambda x: Local(x + 1), "local"))(1.0)
        assert type(out) is Local
    assert not list(folder.glob("*"))


@dataclass(frozen=True)
class Secret:
    hidden: int = field(default=1, repr=False)


def test_only_what_is_built_in_and_says_all_has_a_name(tmp_path: Path) -> None:
    model = build_model("location")
    assert model_name(model)
    assert model_name(model) != model_name(build_model("location:noise=1.0"))
    assert model_name(Secret()) is None  # type: ignore[arg-type]
    agent, _ = build_agent(model, "smc", "eig")
    assert agent.name
    assert agent.name != build_agent(model, "smc:capacity=9", "eig")[0].name
    assert agent.name != build_agent(model, "smc", "eig", explore=0.5)[0].name
    assert agent.name != build_agent(model, "smc", "eig", refine=7)[0].name
    mine = tmp_path / "mine.py"
    mine.write_text("from uncertain.posteriors.models.location import Location as Mine\n")
    assert build_world(f"{mine}:Mine").name is None
    assert build_world("location").name
    assert wheel_world(0.5).name != wheel_world(0.7).name


def test_runs_of_kept_programs_are_the_same_to_the_last_bit(folder: Path) -> None:
    agent, _ = build_agent(build_model("finite"), "exact", "eig")
    world = build_world("finite")
    caches = compiled_rollout, build_rollout, build_live, build_learn, build_decide

    def forget() -> None:
        for cache in caches:
            cache.cache_clear()

    keeping.set_cache_folder(None)
    forget()
    plain = roll_out(agent, world, 5, 0, 2)
    live = build_live(agent)
    keeping.set_cache_folder(folder)
    for _ in range(2):
        forget()
        same(roll_out(agent, world, 5, 0, 2), plain)
        other = build_live(agent)
        same(other.init(jax.random.key(1)), live.init(jax.random.key(1)))
        assert jax.tree.structure(other.read_learned(np.zeros(20))) == jax.tree.structure(
            live.read_learned(np.zeros(20))
        )
    assert len(list(folder.iterdir())) == 4
    forget()
