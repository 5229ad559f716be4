"""How often the statistical tests fail over many seeds, beside how often they may.

Each seed is the whole statistical suite in a process of its own, programs compiled once for all;
UNCERTAIN_NIGHTLY_SEEDS (200) says how many. Rare failures prove little about rates of 1e-5, so
the ranks' own p-values are also counted at rates that 200 seeds can tell.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scipy.stats import binom
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.rank_calibration import calibrate_cell
from uncertain.decide.judge.measures.rank_runs import RankSettings

pytestmark = pytest.mark.nightly
SEEDS = int(os.environ.get("UNCERTAIN_NIGHTLY_SEEDS", "200"))
ROOT = Path(__file__).parents[2]
ALARM = 1e-4
"""Chance, were the nominal rate true, of as many failures as make this test fail."""
LEVELS = 0.05, 0.01, 1e-3


def repeated(seed: int, folder: Path) -> dict[str, tuple[bool, float]]:
    """Test -> (whether it failed, its nominal rate) of one run of the suite."""
    report = folder / f"{seed}.xml"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment |= {
        "UNCERTAIN_TEST_SEED": str(seed),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    words = ("-m", "statistical", "-n", "0", "-q", "-p", "no:cacheprovider", "--junitxml", report)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *map(str, words)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert report.exists(), done.stdout + done.stderr
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        rates = [p.get("value") for p in case.iter("property") if p.get("name") == "rate"]
        assert rates, f"{case.get('name')} does not say its rate"
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        found[name] = case.find("failure") is not None or case.find("error") is not None, rates[0]
    return {name: (failed, float(rate or 0)) for name, (failed, rate) in found.items()}


def surprising(failed: int, seeds: int, rate: float) -> bool:
    """Whether so many failures are too many for the rate."""
    return bool(binom.sf(failed - 1, seeds, rate) < ALARM)


def test_too_many_failures_surprise() -> None:
    assert not surprising(1, 200, 1e-5)
    assert surprising(2, 200, 1e-5)
    assert not surprising(18, 200, 0.05)
    assert surprising(25, 200, 0.05)


def test_the_suite_fails_as_seldom_as_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        # The first alone: it compiles for all others.
        runs = [repeated(1, tmp_path)]
        runs += pool.map(lambda seed: repeated(seed, tmp_path), range(2, SEEDS + 1))
    names = runs[0]
    assert len(names) > 30
    assert all(run.keys() == names.keys() for run in runs)
    failed = {name: sum(run[name][0] for run in runs) for name in names}
    with capsys.disabled():
        print(f"\n{SEEDS} seeds: failed, observed rate, nominal rate")
        for name, (_, rate) in names.items():
            print(f"{failed[name]:4d}  {failed[name] / SEEDS:7.4f}  {rate:7.0e}  {name}")
        every = sum(failed.values())
        nominal = sum(rate for _, rate in names.values()) / len(names)
        print(f"{every:4d}  {every / SEEDS / len(names):7.4f}  {nominal:7.0e}  all tests")
    assert not [n for n, (_, rate) in names.items() if surprising(failed[n], SEEDS, rate)]


@pytest.mark.parametrize(
    ("posterior", "world", "particles", "k", "settle"),
    [
        ("laplace", "linear:arms=0:features=3", None, 0, 0),
        ("exact", "finite", None, 0, 0),
        ("smc", "linear:arms=0:features=3", 512, 2, 0),
        ("hmc", "linear:arms=0:features=3", 32, 2, 20),
    ],
)
def test_p_values_are_below_a_level_as_often_as_the_level_says(
    posterior: str,
    world: str,
    particles: int | None,
    k: int,
    settle: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = []
    for seed in range(10_000, 10_000 + SEEDS):
        cell = Cell(world, world, posterior, "random", None, particles, k, 1, 0.0, 10, seed, 512)
        rows.append(calibrate_cell(cell, RankSettings(settle=settle)))
    # The verdict's p is conservative (Bonferroni); those of single quantities are not.
    parts = {row.name: index for index, row in enumerate(rows[0].quantities)}
    wrong = []
    for name, index in parts.items():
        p = [row.quantities[index].p for row in rows]
        seen = {level: sum(value < level for value in p) for level in LEVELS}
        wrong += [(name, level) for level, n in seen.items() if surprising(n, SEEDS, level)]
        with capsys.disabled():
            text = "  ".join(f"{n / SEEDS:.4f} of {level:g}" for level, n in seen.items())
            print(f"\n{posterior} in {world}, {name}: p below a level: {text}", end="")
    assert not wrong
