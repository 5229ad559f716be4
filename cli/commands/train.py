"""Options and help of `uncertain train`.

See also: ../jobs/train.py for its job.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from enum import StrEnum

from ..app import command
from ..options import Seconds, argument, option
from . import shared

TRAINING, SCORE = "Training", "Score"


class PolicyName(StrEnum):
    """Kind of policy."""

    DAD = "dad"


@command(
    "jobs.train:train",
    short="Train a policy that decides without inference.",
    examples=(
        "uncertain train location --steps 50000 --time 2h --out location.npz",
        "uncertain train discounting --batch 128 --contrastive 500 --out dad.npz",
        "uncertain train location --steps 80000 --resume --out location.npz",
    ),
)
@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Train a policy once, which then decides without inference.

    A network reads the history of actions and outcomes and returns the next action; training
    maximises a bound on the information gain of whole runs (sPCE). Network, batch, rate and steps
    are those of the published code for the kind of outcome unless given. The file is saved every
    twenty seconds, so Ctrl-C loses at most those; --resume continues. Posterior
    amortised:file=FILE.npz decides by it.
    """

    world: str = argument(metavar="WORLD", help="Model, or FILE.py:OBJECT.")
    output: str = option(
        MISSING, "--out", "-o", help="File of the policy, saved during training.",
        metavar="FILE.npz", group=TRAINING,
    )  # fmt: skip
    policy: PolicyName = option(PolicyName.DAD, help="Deep adaptive design.", group=TRAINING)
    steps: int | None = option(
        None, help="Adam steps; else as published.", least=1, metavar="N", group=TRAINING
    )
    batch: int | None = option(
        None, help="Rollouts of a step.", least=1, metavar="N", group=TRAINING
    )
    contrasts: int | None = option(
        None, "--contrastive", help="Contrastive prior draws of each rollout.", least=1,
        metavar="L", group=TRAINING,
    )  # fmt: skip
    horizon: int | None = option(
        None, help="Events of a run.", least=1, metavar="T", group=TRAINING
    )
    rate: float | None = option(None, help="Learning rate of Adam.", metavar="R", group=TRAINING)
    decay: float | None = option(
        None, help="Factor of the learning rate every 1000 steps.", metavar="G", group=TRAINING
    )
    width: int | None = option(
        None, help="Units of a hidden layer.", least=1, metavar="N", group=TRAINING
    )
    budget: Seconds | None = option(
        None,
        "--time",
        help="Stop after this time, compilation included.",
        metavar="2h",
        group=TRAINING,
    )
    resume: bool = option(False, help="Continue from FILE.npz after an early stop.", group=TRAINING)
    rollouts: int = option(
        2048, help="Rollouts of the final score.", least=2, metavar="N", group=SCORE
    )
    spce: int = option(
        10_000, help="Prior draws of the final score.", least=1, metavar="L", group=SCORE
    )
    seed: int = shared.seed()
