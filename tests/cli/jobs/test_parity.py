"""`uncertain parity posteriordb` on a collection of one that is made here."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from console import call, validate_rows

MODEL = """
from dataclasses import dataclass
import numpy as np
from numpyro.distributions import constraints
from uncertain.posteriors import Data, Target, dist

@dataclass(frozen=True)
class Level(Target):
    data: Data

    def prior(self):
        return {"mu": dist.ImproperUniform(constraints.real, (), (2,))}

    def start(self):
        return {"mu": (0.0, 1.0)}

    def rows(self):
        y = self.data["y"]
        return np.tile(np.arange(2.0), len(y))[:, None], y.ravel()

    def predict(self, params, stats, action):
        return dist.Normal(params["mu"][action[0].astype(int)], 1.0)
"""
SEEN = [[1.0, -2.0], [2.0, -1.0], [0.0, -3.0], [1.5, -2.5]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A posterior, Normal(mean of y, 1/4) in each of two unknowns, and its model."""
    (tmp_path / "db" / "seen-level").mkdir(parents=True)
    (tmp_path / "db" / "seen-level" / "data.json").write_text(json.dumps({"y": SEEN}))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "level.py").write_text(MODEL)
    write_draws(tmp_path, 0.0)
    return tmp_path


def write_draws(place: Path, shift: float) -> None:
    rng = np.random.default_rng(0)
    draws = np.mean(SEEN, axis=0) + shift + 0.5 * rng.normal(size=(2, 2000, 2))
    chains = [{f"mu[{i + 1}]": chain[:, i].tolist() for i in range(2)} for chain in draws]
    with zipfile.ZipFile(place / "db/seen-level/reference_draws.json.zip", "w") as file:
        file.writestr("seen-level.json", json.dumps(chains))


def parity(place: Path, *more: object):
    return call(
        "parity", "posteriordb", "--data", place / "db", "--models", place / "models", "--seeds", 8,
        "--refine", 100, "--particles", 16, *more,
    )  # fmt: skip


def test_backends_meet_the_reference_or_are_told_off(place: Path) -> None:
    result = parity(place, "--posterior", "hmc,laplace", "--export-markdown", place / "t.md")
    assert result.status == 0
    assert result.err == "" or "agrees" in result.err
    validate_rows("parity", result.rows)
    for row in result.rows:
        assert row["passed"], row
        assert row["reference"] == "draws"
        assert row["stein"] < 4.4
        assert row["worst"] < 0.15
        assert row["mean"]["mu[1]"] == pytest.approx(1.125, abs=0.1)
        assert row["work"] > 0
        assert row["x64"]
    assert (place / "t.md").read_text().count("| yes |") == 2
    # Draws half a standard deviation aside are those of another posterior.
    write_draws(place, 0.25)
    wrong = parity(place, "--posterior", "laplace", "--max-off", 0.3)
    assert wrong.status == 1
    assert wrong.rows[0]["passed"] is False
    assert "Stein's identities are" in wrong.err
    assert "sd off > 0.3" in wrong.err


def test_without_a_reference_there_is_no_verdict_unless_one_is_made(place: Path) -> None:
    (place / "db/seen-level/reference_draws.json.zip").unlink()
    alone = parity(place, "--posterior", "laplace")
    assert alone.rows[0]["passed"] is None
    validate_rows("parity", alone.rows)
    assert "no reference to compare with; --reference makes one" in alone.err
    made = parity(place, "--posterior", "laplace", "--reference")
    assert made.rows[0]["reference"] == "exact"
    assert made.rows[0]["passed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("posteriordb",), "say where the collection lies: --data FOLDER, or UNCERTAIN_DATA"),
        (("posteriordb", "--data", "no"), "no: no such folder"),
        (("posteriordb", "--rule", "eig"), "no option --rule"),
        (("posteriordbb", "--data", "."), 'did you mean "posteriordb"?'),
    ],
)
def test_wrong_use_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    result = call("parity", *arguments)
    assert result.status == 2
    assert len(result.errors) == 1
    assert message in result.err


def test_a_gate_with_nothing_to_compare_fails(place: Path) -> None:
    (place / "db/seen-level/reference_draws.json.zip").unlink()
    alone = parity(place, "--posterior", "laplace", "--max-off", 0.3)
    assert alone.status == 1
    assert "no reference to compare with, so --max-off is not met" in alone.err
    met = parity(place, "--posterior", "laplace", "--reference", "--max-off", 0.3)
    assert met.status == 0


def test_a_refused_posterior_ends_the_run_before_it_begins(place: Path) -> None:
    result = parity(place, "--posterior", "laplace,bonus,hmc")
    assert result.status == 2
    assert result.rows == []
    assert len(result.errors) == 1
    assert "made of prior draws" in result.err


FAR = """
import jax
from uncertain.posteriors.registry import build_posterior

def build(model):
    inner = build_posterior("laplace", model)

    def belief(key, state, now):
        found = inner.belief(key, state, now)
        return found._replace(mean=found.mean + 2e8 * jax.random.normal(key, found.mean.shape))

    return inner._replace(belief=belief)
"""
"""A posterior whose draws lie 2 * 10^8 units aside, each time elsewhere."""


def test_a_run_that_left_is_said_to_have_diverged(place: Path) -> None:
    (place / "far.py").write_text(FAR)
    far = parity(
        place, "--posterior", f"{place / 'far.py'}:build", "--max-off", 1, "--export-markdown",
        place / "t.md",
    )  # fmt: skip
    assert far.status == 1
    assert far.rows[0]["diverged"] == 1.0
    assert far.rows[0]["unhealthy"] == 1.0
    assert "| diverged |" in (place / "t.md").read_text()
    assert "sd off > 1" in far.err


def test_what_cannot_be_is_left_out_and_told(place: Path) -> None:
    result = parity(place, "--posterior", "bonus")
    assert result.status == 2
    assert "made of prior draws" in result.err
    missing = call("parity", "posteriordb", "--data", place / "db", "--posterior", "laplace")
    assert missing.status == 2
    assert "write seen_level.py or level.py" in missing.err
    unknown = parity(place, "--posterior", "laplace", "--target", "seen-levl")
    assert 'did you mean "seen-level"' in unknown.err
