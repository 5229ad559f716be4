"""Train a policy where little is installed: JAX, NumPyro, Optax and NumPy, an accelerator or none.

    python benchmarks/train_policy.py location --steps 50000 --seconds 480 --out location.npz

The same training as `uncertain train`, found beside this file where the package is not installed.
It stops by itself, rewrites the file every 20 seconds, and says how fast it is and what bound it
has come to; --resume goes on from the file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import types
from dataclasses import replace
from pathlib import Path

if importlib.util.find_spec("uncertain") is None:
    package = types.ModuleType("uncertain")
    package.__path__ = [str(Path(__file__).resolve().parents[1])]
    sys.modules["uncertain"] = package

import jax
from uncertain.decide.training import training as core
from uncertain.decide.training.settings import default_settings
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.parts.policy_file import save_policy
from uncertain.posteriors.registry import build_model

PUBLISHED = 500_000
"""L of the published evaluation, dear without an accelerator."""
CHEAP = 10_000


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="location, discounting, or any model:option=value")
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seconds", type=float, help="of training; scoring comes after them")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--contrastive", dest="contrasts", type=int)
    parser.add_argument("--horizon", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--decay", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--rollouts", type=int, default=2048, help="that are scored at the end")
    parser.add_argument("--spce", type=int, help="L of that score")
    return parser.parse_args()


def told(at: core.Progress) -> None:
    """One line of progress."""
    sys.stdout.write(
        f"{at.step:>7} of {at.steps} steps, {at.seconds:6.1f} s, {at.pace:7.1f} steps/s, "
        f"bound {at.bound:7.3f} nats, {at.left:6.0f} s left\n"
    )
    sys.stdout.flush()


def main() -> None:
    """Train, score, and print both."""
    given = options()
    model = build_model(given.model)
    names = ("steps", "batch", "contrasts", "horizon", "rate", "decay", "seed")
    said = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    training = core.Training(given.model, model, replace(default_settings(model), **said))
    if given.resume:
        training.resume(given.out)
    sys.stdout.write(f"jax {jax.__version__} on {training.device}: {training.settings}\n")
    made = core.train(training, given.out, told, given.seconds)
    quick = jax.default_backend() != "cpu"
    reached = training.score(given.rollouts, given.spce or (PUBLISHED if quick else CHEAP))
    save_policy(given.out, replace(made, reached=reached))
    sys.stdout.write(json.dumps({"trained": made.trained, "reached": reached}) + "\n")


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        sys.exit(f"error: {error}")
