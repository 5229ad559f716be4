"""`search`: people look for high payoffs among 64 arms of a grid, neighbours being alike.

The first arm of a round is given. An observer knows the mean, the spread and the neighbours'
correlation of the study's own surfaces. Bonus rounds are not read.
Source: Wu, Schulz, Garvert, Meder and Schuck (2020).
"""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np

from ...posteriors.errors import UsageError
from ..formats.record import Record
from .base import Problem, Study, StudyTable, choice_record, require_file

NAME = "search"
SIDE = 8
CEILING = 100.0
"""Points of a surface's highest arm."""
NOISE = 0.02
"""Standard deviation of a payoff over `CEILING`: 2 points, measured on all the study's choices."""
ROUNDING = 1e-6
"""Of heights, which the files scale to lie between 0 and 1."""
ENVIRONMENTS = ("rough", "smooth")
COLUMNS = ("ppt", "context", "environment", "round", "trial", "env_index", "x", "y", "reward")


def read_search(folder: str) -> Study:
    """Read the study from its choices and both files of surfaces.

    folder: folder that holds them.
    """
    cells = StudyTable(require_file(folder, NAME, "choices_first_half.csv"), COLUMNS)
    surfaces = {
        name: _payoffs(require_file(folder, NAME, f"{name}Environment.json"))
        for name in ENVIRONMENTS
    }
    gathered: dict[tuple[str, ...], list[Record]] = {}
    shown: dict[tuple[str, ...], tuple[str, int]] = {}
    for line in cells:
        key = tuple(cells.read_text(line, name) for name in ("ppt", "context", "round"))
        kind = cells.read_text(line, "environment")
        if kind not in surfaces:
            raise line[0].error("environment", f"{kind!r} is not rough or smooth", "correct it")
        which = cells.read_whole(line, "env_index", 0, len(surfaces[kind]) - 1)
        if shown.setdefault(key, (kind, which)) != (kind, which):
            raise line[0].error("env_index", "changes within a round", "split the round")
        x, y = (cells.read_whole(line, axis, 0, SIDE - 1) for axis in ("x", "y"))
        reward = cells.read_number(line, "reward")
        seen = reward / CEILING - float(surfaces[kind].mean())
        label = "/".join((*key, cells.read_text(line, "trial")))
        gathered.setdefault(key, []).append(
            choice_record(label, line[0], SIDE * x + y, seen, reward)
        )
    problems = []
    for key, records in gathered.items():
        kind, which = shown[key]
        heights = surfaces[kind]
        truth = tuple((heights[which] - heights.mean()).tolist())
        problems.append(
            Problem(
                key[0], f"{kind}, {key[1]}", _spec(heights), "laplace", tuple(records), 1, truth
            )
        )
    rules = ("eig", "ids:about=all", "thompson", "ucb", "greedy", "random")
    return Study(tuple(problems), rules, 64, True, (1.0, "nats"))


def _payoffs(path: Path) -> np.ndarray:
    """Surfaces `[N, 64]`, arm 8 x + y, between 0 and 1."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            made = json.load(file)
        every = []
        for place in sorted(made, key=int):
            cells = {(c["x1"], c["x2"]): float(c["y"]) for c in made[place].values()}
            every.append([cells[x, y] for x in range(SIDE) for y in range(SIDE)])
        heights = np.asarray(every)
        if (
            heights.size
            and np.all((heights > -ROUNDING) & (heights < 1 + ROUNDING))
            and heights.std() > 0
        ):
            return heights
        raise ValueError("heights must vary between 0 and 1")
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path}: no surfaces ({type(error).__name__}: {error}); each needs 64 cells of x1, "
            "x2 and y as published"
        ) from error


def _spec(heights: np.ndarray) -> str:
    """The Gaussian process that has the surfaces' spread and their neighbours' correlation."""
    grid = (heights - heights.mean()).reshape(-1, SIDE, SIDE)
    alike = 0.5 * ((grid[:, 1:] * grid[:, :-1]).mean() + (grid[..., 1:] * grid[..., :-1]).mean())
    correlation = min(max(alike / np.square(grid).mean(), 0.01), 0.99)
    length = math.sqrt(-0.5 / math.log(correlation))
    return f"surface:side={SIDE}:length={length:.3f}:scale={heights.std():.3f}:noise={NOISE}"
