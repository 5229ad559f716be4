"""How often the alarm is false under the right model, and how soon it comes under wrong ones.

    python benchmarks/alarm.py --out docs/results/alarm [--runs 1] [--workers 2]

Every belief plays Thompson sampling in worlds that are as it believes and in worlds that are not;
all runs are rolled out and told apart by their evidence at three levels. Written: `OUT.ndjson`, a
row a belief and world, and `OUT.md`. `--runs` multiplies the number of runs.

See also: alarm_cost.py for the cost of the alarm.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import math
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from uncertain.decide.loop.core.agent import build_agent
from uncertain.decide.loop.core.e_process import ALPHA, first_crossing, scan_runs
from uncertain.decide.loop.core.rollout import roll_out
from uncertain.posteriors.base import dist
from uncertain.posteriors.models.finite import COINS, Finite
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.models.logistic import Logistic
from uncertain.posteriors.registry import build_model
from uncertain.streams.worlds.base import World, simulated_world

STEPS, LATE, SEED = 400, 200, 7
LEVELS = (0.05, 0.01, ALPHA)
LINEAR = "linear:arms=2:features=2:noise=0.5"
LOGISTIC = "logistic:arms=2:features=2:scale=1.5"
BACKENDS = (
    ("laplace", None, 1024), ("smc", 128, 256), ("smc", 1024, 64), ("hmc", 32, 64),
    ("point", None, 256),
)  # fmt: skip
"""Posterior, particles, runs."""


@dataclass(frozen=True)
class Crossed(Linear):
    """Linear, and the product of the two context numbers besides, which no model has."""

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        base = super().predict(params, stats, action)
        assert isinstance(base, dist.Normal)
        return dist.Normal(base.loc + 0.8 * action[1] * action[2], base.scale)


@dataclass(frozen=True)
class CrossedLogistic(Logistic):
    """The same in log odds."""

    def predictor(self, params: Any, action: Any) -> Any:
        return super().predictor(params, action) + 2.0 * action[1] * action[2]


@dataclass(frozen=True)
class Flipped(Logistic):
    """An answer in seven is the opposite."""

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        # Parameters of its class, which the model's type does not promise.
        p = getattr(super().predict(params, stats, action), "probs")  # noqa: B009
        return dist.Bernoulli(probs=p + (1 - 2 * p) / 7)


def reversed_late(world: World) -> World:
    """From some event on every answer is the opposite."""

    def answer(key: Any, state: Any, action: Any, time: Any) -> Any:
        state, y = world.answer(key, state, action, time)
        return state, jnp.where(time >= LATE, 1 - y, y)

    return world._replace(answer=answer)


BIASED = tuple(tuple((a[0] - 0.1, a[1] + 0.1) for a in hypothesis) for hypothesis in COINS)
"""Every coin shows the other side a tenth of the time more often than any hypothesis says."""

WORLDS: dict[str, dict[str, Callable[[], World]]] = {
    LINEAR: {
        "right": lambda: simulated_world(build_model(LINEAR)),
        "twice the noise": lambda: simulated_world(build_model(LINEAR.replace("0.5", "1.0"))),
        "an unmodelled interaction": lambda: simulated_world(Crossed(2, 2)),
        "weights drift (memory 100)": lambda: simulated_world(
            build_model("drifting:arms=2:features=2:memory=100")
        ),
    },
    LOGISTIC: {
        "right": lambda: simulated_world(build_model(LOGISTIC)),
        "one label in seven flipped": lambda: simulated_world(Flipped(2, 2, 1.5)),
        "an unmodelled interaction": lambda: simulated_world(CrossedLogistic(2, 2, 1.5)),
        f"labels reversed from event {LATE}": lambda: reversed_late(
            simulated_world(build_model(LOGISTIC))
        ),
    },
    "finite": {
        "right": lambda: simulated_world(Finite()),
        "coins off by .1": lambda: simulated_world(Finite(BIASED)),
    },
}  # fmt: skip


def jobs(many: int) -> list[tuple[str, str, str, int | None, int]]:
    found = []
    for model, worlds in WORLDS.items():
        backends = [("exact", None, 1024)] if model == "finite" else list(BACKENDS)
        for posterior, particles, runs in backends:
            found += [(model, world, posterior, particles, runs * many) for world in worlds]
    # The dearest first, so that no core waits long for the last one.
    return sorted(found, key=lambda job: -(job[3] or 0) * job[4])


def measured(job: tuple[str, str, str, int | None, int]) -> dict[str, Any]:
    """One row."""
    model, world, posterior, particles, runs = job
    began = time.perf_counter()
    agent, _ = build_agent(build_model(model), posterior, "thompson", particles, capacity=STEPS)
    there = WORLDS[model][world]()
    width = 16 if particles else 64
    _, trace = roll_out(agent, there, STEPS, SEED, runs, width=width, probed=False)
    verdicts = scan_runs(jnp.asarray(trace.pit))
    late = LATE if "from event" in world else 0
    at = {f"{alpha:g}": first_crossing(verdicts.highest, alpha) for alpha in LEVELS}
    change = first_crossing(verdicts.change, ALPHA)
    half, most = np.asarray(verdicts.within[:, -1], float).mean(0)
    return {
        "model": model, "world": world, "posterior": posterior, "particles": particles,
        "runs": runs, "steps": STEPS, "seed": SEED,
        "share": {alpha: float(np.mean(found > late)) for alpha, found in at.items()},
        "early": float(np.mean((at[f"{ALPHA:g}"] > 0) & (at[f"{ALPHA:g}"] <= late))),
        "delay": delay(at[f"{ALPHA:g}"], late),
        "change": {"share": float(np.mean(change > 0)), "delay": delay(change, late)},
        "within_50": half, "within_90": most,
        "unhealthy": int((~trace.healthy).sum()),
        "seconds": time.perf_counter() - began,
        "versions": {name: version(name) for name in ("uncertain", "jax", "numpy")},
    }  # fmt: skip


def delay(at: np.ndarray, late: int) -> float | None:
    """Median over all runs of the events from the change to the alarm, None where fewer than half
    of the runs raised one by the end."""
    since = np.where(at > late, at - late, np.inf)
    middle = float(np.median(since))
    return middle if math.isfinite(middle) else None


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"Written by `python {' '.join(sys.argv)}`; seed {SEED}, {STEPS} events a run, Thompson "
        f"sampling, versions in the rows of the NDJSON file. Shares of runs whose evidence reached "
        f"1/alpha; delays are medians over all runs, in events.\n",
    ]
    for model, worlds in WORLDS.items():
        for world in worlds:
            here = [r for r in rows if (r["model"], r["world"]) == (model, world)]
            lines += [
                f"\n**{model}, {world}**\n",
                "| posterior | S | runs | alpha .05 | .01 | 1e-4 | delay | `change` | delay | "
                "in 50 % | in 90 % |",
                "|---|---|---|---|---|---|---|---|---|---|---|",
            ]
            for r in here:
                share = " | ".join(f"{r['share'][f'{alpha:g}']:.4f}" for alpha in LEVELS)
                lines.append(
                    f"| {r['posterior']} | {r['particles'] or '–'} | {r['runs']} | {share} | "
                    f"{shown(r['delay'])} | {r['change']['share']:.4f} | "
                    f"{shown(r['change']['delay'])} | {r['within_50']:.3f} | "
                    f"{r['within_90']:.3f} |"
                )
    return "\n".join(lines) + "\n"


def shown(found: float | None) -> str:
    return "–" if found is None else f"{found:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    work, rows = jobs(given.runs), []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.workers, mp_context=context) as pool:
        for row in pool.map(measured, work):
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    order = [(model, world) for model, worlds in WORLDS.items() for world in worlds]
    rows.sort(key=lambda r: order.index((r["model"], r["world"])))
    given.out.with_suffix(".ndjson").write_text("".join(json.dumps(r) + "\n" for r in rows))
    given.out.with_suffix(".md").write_text(table(rows))


if __name__ == "__main__":
    main()
