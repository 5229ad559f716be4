"""`bandits`: people choose between two arms that pay a whole number around their means.

An observer knows how spread means are and how noisy payoffs, both measured on the data: the
published filter took other figures. Not here: studies with a safe arm.
Source: Gershman (2018), experiment 2.
"""

from __future__ import annotations

from ..record import Record
from .base import Cells, Problem, Study, event, needed

NAME = "bandits"
SPREAD, NOISE = 8.1, 1.04
"""Standard deviations of the arms' means, around 0, and of one payoff around its mean."""
COLUMNS = ("subject", "block", "trial", "mu1", "mu2", "choice", "reward")
MODEL = f"linear:arms=2:features=0:scale={SPREAD}:noise={NOISE}"


def read(folder: str) -> Study:
    """The study from its one file."""
    cells = Cells(needed(folder, NAME, "data2_two_stochastic_arms.csv"), COLUMNS)
    gathered: dict[tuple[str, str], list[Record]] = {}
    means: dict[tuple[str, str], tuple[float, ...]] = {}
    for line in cells:
        key = cells.text(line, "subject"), cells.text(line, "block")
        truth = cells.number(line, "mu1"), cells.number(line, "mu2")
        if means.setdefault(key, truth) != truth:
            raise line[0].error("mu1", "the means change within a block", "split the block")
        arm = cells.whole(line, "choice", 1, 2) - 1
        reward = cells.number(line, "reward")
        label = "/".join((*key, cells.text(line, "trial")))
        gathered.setdefault(key, []).append(event(label, line[0], arm, reward, reward))
    problems = tuple(
        Problem(key[0], "two arms", MODEL, "laplace", tuple(records), truth=means[key])
        for key, records in gathered.items()
    )
    rules = ("eig", "ids", "thompson", "ucb", "greedy", "random")
    return Study(problems, rules, 44, True, (1.0, "nats"))
