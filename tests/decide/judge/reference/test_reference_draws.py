"""Reference draws: how they are made, when they are refused, and how they are kept."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from uncertain.decide.judge.reference import reference_draws as module
from uncertain.decide.judge.reference.batch_posterior import BatchPosterior, build_target_posterior
from uncertain.decide.judge.reference.nuts import check_chains
from uncertain.decide.judge.reference.reference_draws import REFERENCES, Settings, reference_draws
from uncertain.decide.judge.reference.tempered_smc import effective_size
from uncertain.posteriors import Data, Target, dist
from uncertain.posteriors.models.finite import Finite
from uncertain.posteriors.models.linear import Linear
from uncertain.streams.storage.results import Store, result_key

pytestmark = pytest.mark.usefixtures("double")


@dataclass(frozen=True)
class Level(Target):
    """y ~ Normal(mu, 1), mu ~ Normal(0, 2)."""

    data: Data

    def prior(self):
        return {"mu": dist.Normal(0.0, 2.0)}

    def log_likelihood(self, params):
        return jnp.sum(dist.Normal(params["mu"], 1.0).log_prob(jnp.asarray(self.data["y"])))


@pytest.fixture
def level() -> BatchPosterior:
    return build_target_posterior(Level(Data({"y": np.asarray([1.0, 2.5])})))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[BatchPosterior]:
    """Every problem that was solved anew."""
    solved: list[BatchPosterior] = []
    make = module.make_draws
    monkeypatch.setattr(module, "make_draws", lambda p, s: (solved.append(p), make(p, s))[1])
    return solved


def folders(place: Path) -> list[Path]:
    """The entries' folders, an attempt each."""
    return sorted(place.glob(f"{REFERENCES}/*/*"))


def test_a_gaussian_posterior_is_exact(level: BatchPosterior) -> None:
    draws, said = module.make_draws(level, Settings())
    assert said["kind"] == "exact"
    precision = 2 + 0.25
    assert draws.mean() == pytest.approx(3.5 / precision, abs=1e-10)
    # Of 20 000 draws in mirrored pairs, as 10 000 squares: 4.4 sqrt(2 / 10 000) of the variance.
    assert draws.var() == pytest.approx(1 / precision, rel=4.4 * np.sqrt(2 / 10_000))


def test_hypotheses_are_enumerated() -> None:
    actions, seen = np.asarray([[0.0], [1.0], [0.0]]), np.asarray([1.0, 0.0, 1.0])
    draws, said = module.make_draws(BatchPosterior(Finite(), actions, seen), Settings())
    weights = np.asarray([0.5 * 0.9 * 0.5, 0.8 * 0.9 * 0.8, 0.5 * 0.4 * 0.5, 0.8 * 0.4 * 0.8])
    shares = np.bincount(draws[:, 0], minlength=4) / len(draws)
    # A share of 20 000 draws, 4.4 standard errors, each off with a rate of 1e-5.
    assert said["kind"] == "exact"
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=4.4 * 0.5 / np.sqrt(20_000))


def test_a_kept_entry_is_used_and_a_damaged_one_made_again(
    level: BatchPosterior, made: list[BatchPosterior], tmp_path: Path
) -> None:
    store = Store(str(tmp_path))
    first, _ = reference_draws(level, Settings(), store)
    again, said = reference_draws(level, Settings(), store)
    np.testing.assert_array_equal(first, again)
    assert len(made) == 1
    assert said["kind"] == "exact"
    for file in ("draws/c/0/0", "record.json", "done.json"):
        (entry,) = folders(tmp_path)
        body = bytearray((entry / file).read_bytes())
        body[len(body) // 2] ^= 1
        (entry / file).write_bytes(bytes(body))
        before = len(made)
        np.testing.assert_array_equal(reference_draws(level, Settings(), store)[0], first)
        assert len(made) == before + 1
        shutil.rmtree(entry)


def test_an_entry_of_another_key_is_not_used(
    level: BatchPosterior, made: list[BatchPosterior], tmp_path: Path
) -> None:
    store = Store(str(tmp_path))
    other = build_target_posterior(Level(Data({"y": np.asarray([9.0, 9.5])})))
    foreign, _ = reference_draws(other, Settings(), store)
    known = module._identity(level, Settings())
    assert known is not None
    (entry,) = folders(tmp_path)
    shutil.copytree(entry, tmp_path / REFERENCES / result_key(known) / entry.name)
    found, _ = reference_draws(level, Settings(), store)
    assert len(made) == 2
    assert abs(found.mean() - foreign.mean()) > 1


def test_whatever_determines_the_draws_changes_the_key(level: BatchPosterior) -> None:
    actions, seen = np.zeros((2, 4)), np.zeros(2)
    problems = [
        level,
        build_target_posterior(Level(Data({"y": np.asarray([1.0, 2.6])}))),
        BatchPosterior(Linear(arms=0, features=4), actions, seen),
        BatchPosterior(Linear(arms=0, features=4, noise=0.4), actions, seen),
        BatchPosterior(Linear(arms=0, features=4), actions, seen + 1),
    ]
    keys = [module._identity(p, Settings()) for p in problems]
    keys += [
        module._identity(level, Settings(seed=1)),
        module._identity(level, Settings(draws=9)),
    ]
    assert len({result_key(k) for k in keys if k is not None}) == len(keys)


def test_chains_that_disagree_or_creep_are_refused() -> None:
    rng = np.random.default_rng(0)
    good = rng.normal(size=(8, 1000, 2))
    assert check_chains(good).why is None
    apart = good.copy()
    apart[0, :, 1] += 1
    assert "R-hat" in str(check_chains(apart).why)
    creeping = np.repeat(rng.normal(size=(8, 100, 2)), 10, axis=1)
    assert check_chains(creeping).why is not None
    assert "effective sample size" in str(check_chains(good[:, :100]).why)
    lost = good.copy()
    lost[2, 5, 0] = np.nan
    assert check_chains(lost).why is not None


def test_descendants_of_one_ancestor_count_once() -> None:
    values = np.random.default_rng(0).normal(size=(500, 1))
    own = np.arange(500)
    assert effective_size(values, own)[0] == pytest.approx(500, rel=1e-6)
    assert effective_size(np.repeat(values, 4, axis=0), np.repeat(own, 4))[0] == pytest.approx(500)


def test_draws_that_fail_are_told_and_not_used(
    monkeypatch: pytest.MonkeyPatch, level: BatchPosterior
) -> None:
    monkeypatch.setattr(module, "exact_draws", lambda *_: None)
    monkeypatch.setattr(module, "run_chains", lambda *_: check_chains(np.zeros((4, 8, 1))))
    _, said = module.make_draws(level, Settings(method="nuts", longer=0))
    assert said["kind"] == "none"
    assert "NUTS" in said["why"]
