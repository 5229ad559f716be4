"""How long beliefs over causal graphs take, and how right they are.

    python benchmarks/graphs.py [FOLDER] > docs/results/graphs.txt

FOLDER holds sachs/sachs.interventional.txt.gz, the 5 400 cells of Sachs et al. (2005); without it
that part is left out. Times are the least and the median of repeated calls of compiled programs.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from uncertain.posteriors.base import Event
from uncertain.posteriors.models.graphs.causal_net import CausalNet
from uncertain.posteriors.registry import build_posterior
from uncertain.posteriors.spaces.bits import count_bits, member_table, parent_sets
from uncertain.streams.worlds.base import simulated_world

SIZES = (5, 8, 11)
DRAWS = 32
EVENTS = 200
BUDGET = 0.1
"""Seconds that methods which move graphs may take."""
SEEDS = 8


def timed(call: Callable[[], Any], least: float = 1.0) -> tuple[float, float]:
    """Return the least and the median seconds of a call, repeated for some seconds."""
    jax.block_until_ready(call())
    times: list[float] = []
    until = time.perf_counter() + least
    while time.perf_counter() < until or len(times) < 5:
        begun = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - begun)
    return min(times), float(np.median(times))


def simulated(model: CausalNet, seed: int) -> Event:
    """Return random actions and their answers in the model's own world, a block of `EVENTS`."""
    world = simulated_world(model)

    def turn(state: Any, key: Any) -> Any:
        choose, answer = jax.random.split(key)
        action = jax.random.randint(choose, (1,), 0, model.actions.count).astype(float)
        state, y = world.answer(answer, state, action, jnp.zeros(()))
        return state, (action, y)

    begin, run = jax.random.split(jax.random.key(seed))
    _, (actions, ys) = jax.lax.scan(turn, world.init(begin), jax.random.split(run, EVENTS))
    count = len(ys)
    return Event(actions, ys, jnp.zeros(count), jnp.arange(count, dtype=jnp.int32), jnp.ones(count))


def learnt(model: CausalNet) -> Callable[[Event], Any]:
    """Return the compiled statistics of a block of events."""

    def run(events: Event) -> Any:
        return jax.lax.scan(
            lambda s, e: (model.update_stats(s, e), None), model.init_stats(), events
        )[0]

    return jax.jit(run)


def edges(graphs: Any, size: int) -> np.ndarray:
    """Return the share of graphs with each arrow, `[n, n]`."""
    return np.asarray(jnp.mean(member_table(graphs, size).astype(float), 0))


def exact_edges(model: CausalNet, stats: Any) -> np.ndarray:
    """Return the probability of each arrow by the gradient of the log evidence, `[n, n]`."""
    space = model.space
    sets = parent_sets(space.nodes, space.most)
    chances = np.asarray(
        jax.jit(jax.grad(lambda s: space.sum_local(s).log_evidence))(model.local_scores(stats))
    )
    spelt = (sets[:, :, None] >> np.arange(space.nodes)) & 1
    return np.einsum("jm,jmi->ji", chances, spelt)


def speeds() -> None:
    """Print times of the parts of an exact belief."""
    print(f"{'nodes':>5}  {'absorb one':>18}  {'sum all graphs':>20}  {DRAWS} exact draws")
    for size in SIZES:
        model = CausalNet(size)
        events = jax.jit(lambda s, m=model: simulated(m, s))(0)
        stats = learnt(model)(events)
        one = jax.tree.map(lambda x: x[0], events)
        add = jax.jit(model.update_stats)
        total = jax.jit(lambda s, m=model: m.space.sum_local(m.local_scores(s)))
        sums = total(stats)
        draw = jax.jit(lambda k, s, m=model: m.space.draw_local(k, s, DRAWS))
        key = jax.random.key(1)
        calls = (
            lambda a=add, s=stats, e=one: a(s, e),
            lambda t=total, s=stats: t(s),
            lambda d=draw, s=sums, k=key: d(k, s),
        )
        cells = []
        for call in calls:
            least, median = timed(call)
            cells.append(f"{1e6 * least:,.0f} / {1e6 * median:,.0f} µs")
        print(f"{size:>5}  {cells[0]:>18}  {cells[1]:>20}  {cells[2]}")


def errors() -> None:
    """Print how far chains and particles are from exact edges after some time of moves."""
    print(f"\nedge error after {1e3 * BUDGET:g} ms of moves, {EVENTS} events, {SEEDS} truths")
    print(f"{'nodes':>5}  {'posterior':<26}{'mean':>7}{'largest':>9}")
    for size in (8, 11):
        model = CausalNet(size)
        make, learn = jax.jit(lambda s, m=model: simulated(m, s)), learnt(model)
        for text in ("mcmc:particles=64:steps=16", "smc:particles=64:steps=16"):
            made = build_posterior(text, model)
            absorb, refine = jax.jit(made.absorb), jax.jit(made.refine)
            found = []
            for seed in range(SEEDS):
                events = make(seed)
                exact = exact_edges(model, learn(events))
                state = jax.jit(made.init)(jax.random.key(seed))
                state = absorb(jax.random.key(100 + seed), state, events)
                jax.block_until_ready(refine(jax.random.key(0), state))
                total, looks, step = np.zeros((size, size)), 0, 0
                begun = time.perf_counter()
                while time.perf_counter() - begun < BUDGET:
                    state, _ = refine(jax.random.fold_in(jax.random.key(1), step), state)
                    jax.block_until_ready(state)
                    step += 1
                    if time.perf_counter() - begun > BUDGET / 4:
                        belief: Any = made.belief(jax.random.key(2), state, jnp.zeros(()))
                        total, looks = total + edges(belief.values, size), looks + 1
                off = np.abs(total / max(looks, 1) - exact)
                found.append((off.sum() / (size * (size - 1)), off.max()))
            mean, most = np.mean(found, 0)
            print(f"{size:>5}  {text:<26}{mean:>7.3f}{most:>9.3f}")


def sachs(path: Path) -> None:
    """Print the evidence of the protein cells, at most 6 parents, BDeu with one prior event."""
    lines = gzip.decompress(path.read_bytes()).decode().strip().splitlines()[1:]
    rows = np.asarray([[int(word) for word in line.split()] for line in lines])
    levels, held = rows[:, :11] - 1, rows[:, 11] - 1
    model = CausalNet(11, (3,), 6)
    place = np.maximum(held, 0)
    actions = np.where(held < 0, 0, 1 + 3 * place + levels[np.arange(len(rows)), place])
    count = len(rows)
    events = Event(
        jnp.asarray(actions[:, None], float),
        jnp.asarray(levels, float),
        jnp.zeros(count),
        jnp.arange(count, dtype=jnp.int32),
        jnp.ones(count),
    )
    learn = learnt(model)
    jax.block_until_ready(learn(events))
    begun = time.perf_counter()
    stats = jax.block_until_ready(learn(events))
    absorbed = time.perf_counter() - begun
    total = jax.jit(lambda s: model.space.sum_local(model.local_scores(s)))
    least, _ = timed(lambda: total(stats))
    log = float(total(stats).log_evidence) + float(model.common_evidence(stats))
    graphs = jax.jit(lambda k, s: model.space.draw_local(k, s, 2000))
    drawn = np.asarray(graphs(jax.random.key(0), total(stats)))
    expected = exact_edges(model, stats).sum()
    log += model.space.sizes.log_total
    different, arrows = len(np.unique(drawn, axis=0)), count_bits(drawn).sum(1).mean()
    print(f"\nSachs, {count} cells, at most 6 parents, BDeu 1, each graph weighs 1:")
    print(f"log evidence {log:.2f}, {expected:.2f} expected arrows; of 2000 exact draws")
    print(f"{different} differ, with {arrows:.2f} arrows; {absorbed:.2f} s to absorb the cells,")
    print(f"{least:.3f} s to sum all graphs")


def main(folder: str | None) -> None:
    """Print all parts."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("uncertain", "jax", "numpy")
    )
    print(f"python benchmarks/graphs.py [FOLDER]  # {versions}; two cores; least / median\n")
    speeds()
    errors()
    if folder is not None:
        sachs(Path(folder) / "sachs" / "sachs.interventional.txt.gz")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
