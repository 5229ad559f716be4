"""A made-up store with every measure there is, to show and to report on."""

from pathlib import Path
from typing import Any

import numpy as np
from uncertain.decide.judge.engine.result_index import CELLS
from uncertain.decide.judge.measures.build_record import build_record
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.latency import Timing
from uncertain.streams.storage.results import Store

SEEDS, LIVE, STEPS = 8, 3, 12
JUDGE = {
    "live": LIVE, "samples": 100, "reference": 2048, "spce": None, "joint": 10, "settle": 0,
    "fidelity": True,
}  # fmt: skip
SKILL = {"point": 0.3, "laplace": 0.6, "smc:ess=0.5": 1.0}
"""Nats a step."""


def cell(posterior: str, size: int | None, refine: int, world: str, **changes: Any) -> Cell:
    given = {"world": world, "model": world, "posterior": posterior, "rule": "eig",
             "proposer": None, "particles": size, "refine": refine, "candidates": 32,
             "explore": 0.0, "steps": STEPS, "seed": 0, "seeds": SEEDS}  # fmt: skip
    return Cell(**{**given, **changes})


def cells(world: str) -> list[Cell]:
    sizes = {"point": [None], "laplace": [8, 32], "smc:ess=0.5": [8, 32]}
    return [
        cell(posterior, size, refine, world)
        for posterior in SKILL
        for size in sizes[posterior]
        for refine in (1, 5)
    ]


def fill(place: Path, *worlds: str, judge: dict[str, Any] = JUDGE, **changes: Any) -> str:
    """Commit the cells of each world. changes: of the cells' configuration."""
    store = Store(str(place))
    for world in worlds:
        for number, plain in enumerate(cells(world)):
            one = Cell(**{**plain.__dict__, **changes})
            draws = np.random.default_rng(number)
            size, refine = one.particles or 1, one.refine
            rate = SKILL.get(one.posterior, 0.5) * (1 + 0.1 * np.log2(size)) * (1 + 0.05 * refine)
            realised = rate * draws.gamma(2.0, 0.5, (SEEDS, STEPS))
            predicted = (one.posterior != "point") * realised * draws.uniform(0.8, 1.6, (1, STEPS))
            lower = realised.sum(1)
            scale = 2e-5 * (1 + 0.1 * size) * (1 + refine)
            seconds = scale * draws.lognormal(0.0, 0.3, (2, LIVE, STEPS))
            runs = {
                "lower": lower, "upper": lower + 0.2, "ess": np.full(SEEDS, 60.0),
                "predicted": predicted, "realised": realised, "probe_predicted": predicted,
                "probe_realised": realised, "work": np.full(SEEDS, 3.0 * size),
                "failures": np.zeros(SEEDS, int), "joint": 10 / (1 + lower[:, None]),
                "bought": rate * np.ones(SEEDS), "best": 2.0 * np.ones(SEEDS),
                "regret": 20 / (1 + lower), "uniform": np.full(SEEDS, 20.0),
            }  # fmt: skip
            timing = Timing(seconds[0].ravel(), seconds[1].ravel(), np.zeros(0), 1.0, 0)
            random = {"lower": np.full(SEEDS, 2.0)}
            made = build_record(one, runs, random, timing, None, (10,), 1)
            identity = {"cell": str(one), "judge": {k: v for k, v in judge.items() if v}}
            arrays = runs | {"decide": seconds[0], "learn": seconds[1]}
            store.commit(CELLS, identity, made, arrays)
    return str(place)
