"""UCI regression: one hidden layer of 50 units, the 20 standard splits, every posterior that can.

    python benchmarks/uci_regression.py --data DIRECTORY --out DIRECTORY

DIRECTORY holds the zip files of the benchmark as Gal and Ghahramani (2016) distribute them, with
the splits of Hernandez-Lobato and Adams (2015). Inputs and targets are standardised by the training
rows; figures are in the target's own units. How noisy the targets are is chosen for each split and
posterior on a fifth of the training rows, from multiples of what a point estimate errs by there;
then all training rows are learnt anew. Written to `--out`, after every posterior: `rows.ndjson`,
an object a split, and `table.md`, means with standard errors over splits beside the published row.
The options are those below, the same for all sets; nothing else is tuned.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import jax.numpy as jnp
import numpy as np
from uncertain.decide.rules.base import as_draws
from uncertain.posteriors import Event, Vector, build_posterior, dist
from uncertain.posteriors.models.mlp import MLP
from uncertain.posteriors.parts.unknowns import unknowns_of

SPLITS = 20
PUBLISHED = {"concrete": (4.83, -2.94), "wine-quality-red": (0.62, -0.93), "yacht": (0.67, -1.25)}
"""RMSE and test log-likelihood of MC dropout, as its authors' repository restates them."""
POSTERIORS = {
    "point:jitter=1:batch=32:step_size=0.03": 20_000,
    "dropout:rate=0.01:batch=32:step_size=0.03:particles=100": 20_000,
    "swag:jitter=1:batch=32:step_size=0.01:particles=100": 20_000,
    "epinet:jitter=1:batch=32:step_size=0.03:particles=100": 5_000,
    "last-layer:batch=32:step_size=0.03:decay=0:particles=100": 10_000,
    "variational:jitter=1:batch=32:step_size=0.03:particles=100": 5_000,
    "ensemble:bootstrap=none:particles=10:batch=32:step_size=0.03": 5_000,
    "svgd:particles=10:batch=32:step_size=0.03": 5_000,
    "laplace:structure=diagonal:jitter=1:particles=100": 20,
    "hmc:particles=10:leapfrogs=8": 200,
}
"""Posterior -> refine steps once all rows are known."""
QUICK = 4
"""Times fewer of them while the noise is chosen."""
STEADY = ("swag", "laplace", "hmc")
"""Posteriors that need their step size as it is; that of the others falls to nothing."""
SHARES = (0.5, 0.7, 1.0)
"""Noise tried, in units of what a point estimate errs by on rows held out."""
GUESS = 0.3
"""Noise of the first point estimate, in standard deviations of the target."""
HELD_OUT = 0.2


@dataclass(frozen=True)
class Network(MLP):
    """The network, with the log noise of each observation known: an action's last number.

    So that one compiled program serves every noise that is tried.
    """

    @property
    def actions(self) -> Vector:
        return Vector(self.features + 1)

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        return dist.Normal(super().predict(params, stats, action[:-1]).mean, jnp.exp(action[-1]))


class Split(NamedTuple):
    """Standardised x, y of all training rows and of the test rows; mean and sd of the target."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    scale: float


class Scored(NamedTuple):
    """On rows a posterior has not learnt: root mean square error and mean log-likelihood, in
    standardised units."""

    rmse: Any
    log_likelihood: Any


def read(folder: Path, name: str) -> list[Split]:
    """The 20 splits of one set."""
    with zipfile.ZipFile(folder / f"{name}.zip") as archive:

        def table(file: str) -> np.ndarray:
            return np.loadtxt(io.BytesIO(archive.read(f"{name}/data/{file}.txt")))

        data = table("data")
        features = table("index_features").astype(int)
        target = int(table("index_target"))
        found = []
        for split in range(SPLITS):
            train, test = (table(f"index_{w}_{split}").astype(int) for w in ("train", "test"))
            x, y = data[train][:, features], data[train][:, target]
            middle, spread = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1.0)
            center, scale = y.mean(), y.std()
            seen = (data[test][:, features] - middle) / spread
            parts = (x - middle) / spread, (y - center) / scale, seen
            found.append(Split(*parts, (data[test][:, target] - center) / scale, float(scale)))
    return found


class Programs(NamedTuple):
    """learn(key, x, y, known [N] bool, noise []) -> draws, quick the same in fewer steps.
    score(draws, x, y, counted [N], noise) -> Scored. Each compiled once a set and posterior."""

    learn: Callable
    quick: Callable
    score: Callable


def programs(model: Network, text: str, capacity: int, steps: int) -> Programs:
    """The programs of one posterior."""
    unknowns = unknowns_of(model)
    posterior = build_posterior(text, model, {"capacity": capacity})
    slows = text.partition(":")[0] not in STEADY

    def learn(key: Any, x: Any, y: Any, known: Any, noise: Any, steps: int) -> Any:
        count = len(y)
        action = jnp.concatenate([x, jnp.full((count, 1), jnp.log(noise))], axis=1)
        order = jnp.arange(count, dtype=jnp.int32)
        events = Event(action, y, order.astype(x.dtype), order, known.astype(x.dtype))
        start_key, keep_key, climb_key, belief_key, draw_key = jax.random.split(key, 5)
        state = posterior.absorb(keep_key, posterior.init(start_key), events)
        first = state.step_size if slows else jnp.zeros(())

        def step(state: Any, item: Any) -> tuple[Any, None]:
            key, left = item
            state = state._replace(step_size=left * first) if slows else state
            return posterior.refine(key, state)[0], None

        items = jax.random.split(climb_key, steps), jnp.linspace(1.0, 0.0, steps)
        state = jax.lax.scan(step, state, items)[0]
        return as_draws(draw_key, posterior.belief(belief_key, state, jnp.zeros(())), 100)

    def score(draws: Any, x: Any, y: Any, counted: Any, noise: Any) -> Scored:
        def curve(u: Any) -> Any:
            def mean(row: Any) -> Any:
                action = jnp.append(row, jnp.log(noise))
                return model.predict(unknowns.constrain(u), (), action).mean

            return jax.vmap(mean)(x)

        curves = jax.vmap(curve)(draws.values)
        weights = jnp.exp(draws.log_weights)
        error = jnp.square(weights @ curves - y)
        logs = dist.Normal(curves, noise).log_prob(y[None, :]) + draws.log_weights[:, None]
        mixed = jax.nn.logsumexp(logs, axis=0)
        share = counted / jnp.sum(counted)
        return Scored(jnp.sqrt(share @ error), share @ mixed)

    whole, quick = (jax.jit(partial(learn, steps=n)) for n in (steps, steps // QUICK))
    return Programs(whole, quick, jax.jit(score))


def held_out(count: int, split: int) -> np.ndarray:
    """`[N]` bool, which training rows are kept from learning while the noise is chosen."""
    rng = np.random.default_rng(split)
    found = np.zeros(count, bool)
    found[rng.permutation(count)[: round(HELD_OUT * count)]] = True
    return found


def point_error(point: Programs, data: Split, split: int) -> float:
    """What a point estimate errs by on rows held out, its own noise set to just that."""
    away = held_out(len(data.y), split)
    noise = GUESS
    for turn in range(2):
        key = jax.random.fold_in(jax.random.key(split), len(SHARES) + turn)
        draws = point.quick(key, data.x, data.y, ~away, noise)
        noise = float(point.score(draws, data.x, data.y, away.astype(float), noise).rmse)
    return noise


def run(made: Programs, data: Split, split: int, error: float) -> dict[str, Any]:
    """One split: the noise by rows held out, then all rows, then the test rows."""
    began = time.perf_counter()
    away = held_out(len(data.y), split)
    tried = {}
    for place, share in enumerate(SHARES):
        key = jax.random.fold_in(jax.random.key(split), place)
        draws = made.quick(key, data.x, data.y, ~away, share * error)
        found = made.score(draws, data.x, data.y, away.astype(float), share * error)
        tried[share * error] = float(found.log_likelihood)
    noise = max(tried, key=lambda k: tried[k] if np.isfinite(tried[k]) else -np.inf)
    everything = np.ones(len(data.y), bool)
    key = jax.random.fold_in(jax.random.key(split), len(SHARES) + 2)
    draws = made.learn(key, data.x, data.y, everything, noise)
    test = np.ones(len(data.test_y))
    found = made.score(draws, data.test_x, data.test_y, test, noise)
    return {
        "split": split,
        "noise": noise * data.scale,
        "rmse": float(found.rmse) * data.scale,
        "log_likelihood": float(found.log_likelihood) - float(np.log(data.scale)),
        "seconds": time.perf_counter() - began,
    }


def plus_minus(rows: list[dict[str, Any]], name: str) -> str:
    values = np.asarray([row[name] for row in rows])
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{values.mean():.3f} ±{error:.3f}"


def table(rows: list[dict[str, Any]]) -> str:
    """Means over splits, posteriors of a set under each other, the published row last."""
    header = "set", "posterior", "steps", "RMSE", "log-likelihood", "seconds a split"
    lines = [header, ("---",) * len(header)]
    for name in dict.fromkeys(row["set"] for row in rows):
        here = [row for row in rows if row["set"] == name]
        for posterior in dict.fromkeys(row["posterior"] for row in here):
            mine = [row for row in here if row["posterior"] == posterior]
            figures = plus_minus(mine, "rmse"), plus_minus(mine, "log_likelihood")
            spent = f"{np.median([row['seconds'] for row in mine]):.2f}"
            lines.append((name, f"`{posterior}`", str(mine[0]["steps"]), *figures, spent))
        rmse, log_likelihood = PUBLISHED[name]
        published = f"{rmse:.2f}", f"{log_likelihood:.2f}"
        lines.append((name, "published, MC dropout", "", *published, ""))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the zip files")
    parser.add_argument("--out", type=Path, required=True, help="folder for rows and table")
    parser.add_argument("--sets", nargs="+", default=sorted(PUBLISHED), choices=sorted(PUBLISHED))
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--posteriors", nargs="+", default=[], help="only those so called")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = {
        text: steps
        for text, steps in POSTERIORS.items()
        if not options.posteriors or text.partition(":")[0] in options.posteriors
    }
    rows: list[dict[str, Any]] = []
    for name in options.sets:
        splits = read(options.data, name)[: options.splits]
        model = Network(features=splits[0].x.shape[1], hidden=(50,))
        capacity = len(splits[0].y)
        text, steps = next(iter(POSTERIORS.items()))
        point = programs(model, text, capacity, steps)
        errors = [point_error(point, data, split) for split, data in enumerate(splits)]
        for text, steps in wanted.items():
            made = programs(model, text, capacity, steps)
            # Compiled before anything is timed.
            run(made, splits[0], 0, errors[0])
            for split, data in enumerate(splits):
                row = run(made, data, split, errors[split])
                rows.append({"set": name, "posterior": text, "steps": steps, **row})
            (options.out / "rows.ndjson").write_text("".join(json.dumps(r) + "\n" for r in rows))
            (options.out / "table.md").write_text(table(rows))
            print(table(rows).splitlines()[-2], file=sys.stderr, flush=True)
    print(table(rows), end="")


if __name__ == "__main__":
    main()
