"""One arithmetic, several executions: live, rolled out together, and cut into pieces.

Equality is exact in double precision, in a process of its own; in single precision a vectorised
sum may round differently and a choice between near-equal candidates go the other way.
"""

import json
import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.latency import live_runs
from uncertain.decide.judge.measures.quality import Wanted, agent_and_world, quality
from uncertain.decide.loop.core import packing as packed
from uncertain.decide.loop.core.packing import build_packing
from uncertain.decide.loop.core.rollout import roll_out

STEPS, RUNS = 4, 2
CELLS = {
    "smc on location": Cell(
        "location", "location", "smc", "eig", None, 8, 1, 4, 0.0, STEPS, 0, RUNS
    ),
    "laplace on linear": Cell(
        "linear:arms=3:features=2", "linear:arms=3:features=2", "laplace", "thompson", None, 16, 0,
        4, 0.1, STEPS, 0, RUNS,
    ),
    "thinking": Cell(
        "location", "location", "svgd", "eig", None, 8, 1, 4, 0.0, STEPS, 0, RUNS, 3
    ),
}  # fmt: skip


def compare(cell: Cell) -> dict[str, Any]:
    """How live and rolled-out runs of a cell differ."""
    agent, world = agent_and_world(cell)
    lived = live_runs(agent, world, cell.steps, cell.seed, RUNS)
    _, trace = roll_out(agent, world, cell.steps, cell.seed, RUNS)
    apart = np.abs(lived.actions - trace.action).max(axis=-1)
    same = apart <= 1e-4
    return {
        "dtype": str(trace.action.dtype),
        "retraces": lived.timing.retraces,
        "timed": [len(lived.timing.decide), len(lived.timing.learn)],
        "thought": len(lived.timing.think),
        "apart": apart.max(),
        "observations": float(np.abs(lived.observations - trace.observation).max()),
        # The first step, in any run, at which the actions part; the number of steps if none.
        "divergence": int(np.where(same.all(0), cell.steps, np.arange(cell.steps)).min()),
        "moved": float(np.ptp(trace.action, axis=1).max()),
    }


@pytest.mark.live
def test_live_and_rolled_out_runs_agree_in_double_precision() -> None:
    environment = {**os.environ, "JAX_ENABLE_X64": "1"}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == CELLS.keys()
    for name, one in found.items():
        assert one["dtype"] == "float64", name
        assert one["apart"] < 1e-9, name
        assert one["observations"] < 1e-9, name
        assert one["retraces"] == 0, name
        assert one["timed"] == [RUNS * STEPS, RUNS * STEPS], name
        assert one["thought"] == (RUNS * STEPS if CELLS[name].think else 0), name
        assert one["moved"] > 0, name


def test_single_precision_compiles_once_and_starts_the_same(record_property: Any) -> None:
    found = compare(CELLS["laplace on linear"])
    record_property("first step at which live and rolled-out actions part", found["divergence"])
    assert found["dtype"] == "float32"
    assert found["retraces"] == 0
    assert found["divergence"] > 0


def test_the_largest_seed_means_the_same_live() -> None:
    cell = Cell("finite", "finite", "exact", "random", None, None, 0, 4, 0.0, STEPS, 0, RUNS)
    agent, world = agent_and_world(cell)
    largest = 2**32 - 1
    rolled = roll_out(agent, world, STEPS, largest, 2)[1]
    lived = live_runs(agent, world, STEPS, largest, 2)
    assert np.array_equal(lived.actions, rolled.action)
    assert np.array_equal(lived.observations, rolled.observation)
    other = roll_out(agent, world, STEPS, largest - 1, 2)[1]
    assert not np.array_equal(other.action, rolled.action)


def test_what_nobody_looks_at_is_left_out_and_changes_nothing() -> None:
    agent, world = agent_and_world(CELLS["laplace on linear"])
    _, whole = roll_out(agent, world, STEPS, 0, RUNS)
    _, bare = roll_out(agent, world, STEPS, 0, RUNS, probed=False)
    assert np.abs(whole.predicted).max() > 0
    assert not bare.predicted.any()
    assert not bare.probe_predicted.any()
    for name in ("action", "observation", "truth", "propensity", "work"):
        np.testing.assert_allclose(getattr(bare, name), getattr(whole, name), rtol=1e-5, atol=1e-6)


def test_runs_do_not_depend_on_how_they_are_cut_up() -> None:
    cell = Cell("finite", "finite", "exact", "eig", None, None, 0, 4, 0.0, STEPS, 3, 4)
    whole = quality(cell, 0, 4, Wanted(fidelity=True))
    parts = [quality(cell, 0, 2, Wanted(fidelity=True)), quality(cell, 2, 2, Wanted(fidelity=True))]
    for name, values in whole.items():
        joined = np.concatenate([p[name] for p in parts])
        assert np.allclose(joined, values, atol=1e-6), name
    other = quality(cell, 1, 2, Wanted())
    assert not np.allclose(other["lower"], whole["lower"][:2])


DTYPES = ("bool", "uint8", "int8", "uint16", "float16", "uint32", "int32", "float32")


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Any]:
    """Trees of arrays of every dtype, scalars and empty ones included, with odd bit patterns."""
    made: dict[str, Any] = {}
    for index in range(draw(st.integers(1, 6))):
        dtype = np.dtype(draw(st.sampled_from(DTYPES)))
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        raw = rng.integers(0, 256, (*shape, dtype.itemsize), dtype=np.uint8)
        value = raw[..., 0] > 127 if dtype.kind == "b" else raw.view(dtype)[..., 0]
        made[f"leaf {index}"] = {"inner": (jnp.asarray(value),)}
    return made


def bits(x: Any) -> bytes:
    return np.asarray(x).tobytes()


@given(trees())
@settings(max_examples=30, deadline=None)
def test_packing_round_trip(tree: Any) -> None:
    pack, unpack = build_packing(jax.eval_shape(lambda: tree))
    arrays = pack(tree)
    back = unpack(arrays)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    for one, two in zip(jax.tree.leaves(back), jax.tree.leaves(tree), strict=True):
        assert (one.shape, one.dtype) == (two.shape, two.dtype)
        # NaNs and negative zeros too: bit for bit.
        assert bits(one) == bits(two)
    widths = {x.dtype.itemsize for x in jax.tree.leaves(tree)}
    assert len(arrays) == len(widths)


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32", "bool"])
def test_large_leaves_travel_alone(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "LARGE", 10)
    tree = jnp.arange(3), jnp.ones((3, 4), dtype), jnp.zeros(10), jnp.ones(11, dtype), jnp.ones(())
    pack, unpack = build_packing(tree)
    arrays = pack(tree)
    assert arrays[-2] is tree[1]
    assert arrays[-1] is tree[3]
    assert len(arrays) == 3
    for one, two in zip(unpack(arrays), tree, strict=True):
        assert one.dtype == two.dtype
        assert np.array_equal(one, two)


if __name__ == "__main__":
    print(json.dumps({name: compare(cell) for name, cell in CELLS.items()}))
