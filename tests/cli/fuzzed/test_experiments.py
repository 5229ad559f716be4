"""Damaged experiments: TOML that `bench`, `sweep`, `tune` and `calibrate` read."""

import json
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fuzzing import Mistake, asked_for, odd, spoil, survey
from uncertain.decide.judge.measures import experiment_toml
from uncertain.decide.judge.measures.experiment_toml import (
    decode_experiment,
    encode_experiment,
    load_experiment,
)
from uncertain.posteriors.errors import UsageError

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.toml"))
RAW = (
    "[" * 3000, "[" * 900 + "]" * 900, "{a=" * 900 + "1" + "}" * 900, "1" * 5000, "0x" + "f" * 5000,
    "1e999", "nan", "-inf", "2020-01-01", "2020-13-45", "1_0", '"""', "'''a", "'\\ud800'", "# no",
)  # fmt: skip
"""Values as nobody would write them."""
KINDS = ("drop", "repeat", "other", "key")
KEYS = ("steps", "seeds", "spce", "joint", "a.b", "grid", '""', "cells", "a" + ".b" * 900)


def written(value: Any) -> str:
    """A value as TOML, or nearly."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


def exploded(chance: random.Random) -> str:
    """A grid of very many cells."""
    length = chance.choice((10, 100, 1000))
    numbers = ", ".join(map(str, range(1, length + 1)))
    names = chance.sample(("particles", "refine", "steps", "think"), chance.randint(2, 4))
    kind = chance.choice(("[grid]", "[[grids]]"))
    lists = "".join(f"{name} = [{numbers}]\n" for name in names)
    return f'\n{kind}\nposterior = ["smc", "svgd"]\n{lists}'


def mutated(chance: random.Random, text: str, others: list[str]) -> tuple[str, bytes]:
    """What was done, and the experiment after it."""
    if chance.random() < 0.4:
        done, content = spoil(chance, text.encode(), [other.encode() for other in others])
        return done, content
    lines, done = text.splitlines(), []
    for _ in range(chance.randint(1, 2)):
        place = chance.randrange(len(lines))
        kind = chance.choice(("value",) * 30 + KINDS * 9 + ("grid",))
        name = lines[place].partition("=")[0].strip()
        value = chance.choice(RAW) if chance.random() < 0.3 else written(odd(chance))
        if kind == "value":
            lines[place] = f"{name or 'steps'} = {value}"
        elif kind == "key":
            lines[place] = f"{chance.choice(KEYS)} = {value}"
        elif kind == "drop":
            del lines[place]
        elif kind == "repeat":
            lines.insert(place, lines[place])
        elif kind == "other":
            lines.insert(place, chance.choice(chance.choice(others).splitlines()))
        else:
            lines.append(exploded(chance))
        done.append(f"{kind} {name} {value[:40] if kind in ('value', 'key') else ''}")
        lines = lines or [""]
    return ", ".join(done), "\n".join(lines).encode()


def files(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """So many experiments, one after another in the same place."""
    chance, path = random.Random(1), folder / "mutated.toml"
    texts = [config.read_text() for config in CONFIGS]
    for _ in range(count):
        done, content = mutated(chance, chance.choice(texts), texts)
        path.write_bytes(content)
        yield done, path


def read(path: Path) -> None:
    """As `bench` reads it; written and read again it means the same."""
    found = load_experiment(str(path))
    again = decode_experiment(encode_experiment(found), f"what {path} was written as")
    if again.resolved() != found.resolved():
        raise Mistake("written and read again it is another")


def command(path: Path) -> tuple[object, ...]:
    return "bench", "--config", path, "--print-config"


@pytest.mark.soak
def test_each_is_read_rightly_or_refused(tmp_path: Path) -> None:
    found = survey(files(tmp_path, asked_for()), read, command)
    print(f"\nexperiments: {found}")
    assert found.faults == []
    assert min(found.told["read"], found.told["refused"]) > 0.02 * found.told.total()


def test_some_are(tmp_path: Path) -> None:
    assert survey(files(tmp_path, 150), read, command).faults == []


def test_a_grid_of_too_many_cells_is_refused() -> None:
    numbers = list(range(1, 401))
    grid = f'[grid]\nposterior = ["smc"]\nparticles = {numbers}\nrefine = {numbers}\n'
    with pytest.raises(UsageError, match=r"x: its grids make 160000 cells, at most 20000"):
        decode_experiment(grid, "x")
    few = grid.replace(str(numbers), str(numbers[:4]))
    assert len(decode_experiment(few, "x").resolved()) == 16


def test_a_reader_with_a_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: keys that are not known would end in a traceback, or be passed over."""
    monkeypatch.setattr(experiment_toml, "find_field_error", lambda data, kind: data["absent"])
    assert any("KeyError" in fault for fault in survey(files(tmp_path, 100), read).faults)
