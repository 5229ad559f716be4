"""Off-policy values of `replay` beside those of Open Bandit Pipeline and vw-estimators.

A log is replayed with `--export-scores`, and each peer is given the columns of that file, each
event as often as its weight says. Needs `pip install obp vw-estimators torch` besides (obp 0.4.1 is
the last version that installs on Python 3.11).

    python benchmarks/off_policy_peers.py [LOG ...] > docs/results/off-policy-peers.txt
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

EVENTS = 2_000
SEED = 0
RULES = ("thompson", "greedy", "random")
CLOSE = 1e-6


def made_log(path: Path, weighted: bool) -> None:
    """Write a log of three arms whose propensities follow from two features.

    path: of the NDJSON file.
    weighted: whether events count once to three times.
    """
    rng = np.random.default_rng(SEED)
    with path.open("w") as file:
        for i in range(EVENTS):
            x = rng.normal(size=2)
            chances = np.exp([0.0, 0.5 * x[0], 0.5 * x[1]])
            chances /= chances.sum()
            arm = int(rng.choice(3, p=chances))
            y = float(rng.random() < 1 / (1 + np.exp(-(x @ [[0.5, 0], [0, 1], [-1, 1]][arm]))))
            event = {
                "id": i, "x": x.tolist(), "action": arm, "propensity": float(chances[arm]), "y": y
            }  # fmt: skip
            file.write(json.dumps(event | ({"weight": 1 + i % 3} if weighted else {})) + "\n")


def replayed(log: str, rule: str, folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the row of a replay, and the columns of its scores, repeated by weight.

    log: file.
    rule: spec of the rule.
    folder: for the scores.
    """
    scores = folder / "scores.ndjson"
    command = [
        "uncertain", "replay", log, "--posterior", "laplace", "--rule", rule, "--latency", "0",
        "--export-json", "-", "--export-scores", str(scores),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    events = [json.loads(line) for line in scores.read_text().splitlines()]
    names = ("reward", "propensity", "probability", "prediction", "expected")
    times = np.asarray([e.get("weight") or 1 for e in events], int)
    columns = {name: np.asarray([e[name] for e in events], float) for name in names}
    repeated = {name: np.repeat(column, times) for name, column in columns.items()}
    return json.loads(done.stdout.splitlines()[0]), repeated


def by_open_bandit(c: dict[str, np.ndarray]) -> dict[str, float]:
    """Estimates of Open Bandit Pipeline, whose actions are the logged one and all others.

    c: columns of the scores.
    """
    from obp.ope.estimators import DoublyRobust, InverseProbabilityWeighting
    from obp.ope.estimators import SelfNormalizedInverseProbabilityWeighting as SelfNormalized

    pi, left = c["probability"], 1 - c["probability"]
    others = (c["expected"] - pi * c["prediction"]) / np.where(left > 0, left, 1.0)
    given = {
        "reward": c["reward"],
        "action": np.zeros(len(pi), int),
        "pscore": c["propensity"],
        "position": np.zeros(len(pi), int),
        "action_dist": np.stack([pi, left], 1)[:, :, None],
    }
    guess = np.stack([c["prediction"], others], 1)[:, :, None]
    return {
        "ips": InverseProbabilityWeighting().estimate_policy_value(**given),
        "snips": SelfNormalized().estimate_policy_value(**given),
        "dr": DoublyRobust().estimate_policy_value(**given, estimated_rewards_by_reg_model=guess),
    }


def by_vw_estimators(c: dict[str, np.ndarray]) -> dict[str, float]:
    """Estimates of vw-estimators.

    c: columns of the scores.
    """
    from estimators.bandits import ips, snips

    found = {"ips": ips.Estimator(), "snips": snips.Estimator()}
    for estimator in found.values():
        for mu, r, pi in zip(c["propensity"], c["reward"], c["probability"], strict=True):
            estimator.add_example(mu, r, pi)
    return {name: float(estimator.get()) for name, estimator in found.items()}


def main(logs: list[str]) -> int:
    """Compare, and print a line for each value.

    logs: files with propensities besides the made-up ones.

    Returns: exit status, 1 if a value differs.
    """
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("uncertain", "obp", "vw-estimators", "numpy", "jax")
    )
    print(f"python benchmarks/off_policy_peers.py  # seed {SEED}; {versions}\n")
    print(
        f"{'log':<22}{'rule':<10}{'value':<7}{'here':>12}{'obp':>12}{'vw':>12}  largest difference"
    )
    worst = 0.0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        every = {}
        for name, weighted in (("made", False), ("made, weights 1 to 3", True)):
            every[name] = str(folder / f"{weighted}.ndjson")
            made_log(Path(every[name]), weighted)
        every |= {Path(log).name.removesuffix(".gz"): log for log in logs}
        for name, log in every.items():
            for rule in RULES:
                row, columns = replayed(log, rule, folder)
                peers = by_open_bandit(columns), by_vw_estimators(columns)
                for value in ("ips", "snips", "dr"):
                    here = row["value"][value]["value"]
                    found = [peer.get(value) for peer in peers]
                    off = max(abs(here - x) for x in found if x is not None)
                    worst = max(worst, off)
                    shown = "".join(f"{'–' if x is None else format(x, '.8f'):>12}" for x in found)
                    print(f"{name:<22}{rule:<10}{value:<7}{here:>12.8f}{shown}  {off:.1e}")
    print(f"\nlargest difference {worst:.1e}, allowed {CLOSE:g}")
    return int(worst > CLOSE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
