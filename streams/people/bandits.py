"""`bandits`: people choose between two arms that pay a whole number around their means.

An observer knows the spread of the means and the noise of payoffs, both measured on the data; the
published filter took other values. The study's part with a safe arm is not read.
Source: Gershman (2018), experiment 2.
"""

from __future__ import annotations

from ..formats.record import Record
from .base import Problem, Study, StudyTable, choice_record, require_file

NAME = "bandits"
SPREAD, NOISE = 8.1, 1.04
"""Standard deviations of the arms' means, around 0, and of one payoff around its mean."""
COLUMNS = ("subject", "block", "trial", "mu1", "mu2", "choice", "reward")
MODEL = f"linear:arms=2:features=0:scale={SPREAD}:noise={NOISE}"


def read_bandits(folder: str) -> Study:
    """Read the study from its one file.

    folder: folder that holds it.
    """
    cells = StudyTable(require_file(folder, NAME, "data2_two_stochastic_arms.csv"), COLUMNS)
    gathered: dict[tuple[str, str], list[Record]] = {}
    means: dict[tuple[str, str], tuple[float, ...]] = {}
    for line in cells:
        key = cells.read_text(line, "subject"), cells.read_text(line, "block")
        truth = cells.read_number(line, "mu1"), cells.read_number(line, "mu2")
        if means.setdefault(key, truth) != truth:
            raise line[0].error("mu1", "the means change within a block", "split the block")
        arm = cells.read_whole(line, "choice", 1, 2) - 1
        reward = cells.read_number(line, "reward")
        label = "/".join((*key, cells.read_text(line, "trial")))
        gathered.setdefault(key, []).append(choice_record(label, line[0], arm, reward, reward))
    problems = tuple(
        Problem(key[0], "two arms", MODEL, "laplace", tuple(records), truth=means[key])
        for key, records in gathered.items()
    )
    rules = ("eig", "ids", "thompson", "ucb", "greedy", "random")
    return Study(problems, rules, 44, True, (1.0, "nats"))
