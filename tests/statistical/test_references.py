"""Long references where the answer is known: two labels of two sources, chains against particles,
and the collections' own draws.
"""

from pathlib import Path

import jax
import numpy as np
import pytest
from uncertain.decide.judge.parity.problems import load_problem, load_target, reference_moments
from uncertain.decide.judge.reference import reference_draws
from uncertain.decide.judge.reference.batch_posterior import BatchPosterior, build_target_posterior
from uncertain.decide.judge.reference.reference_draws import Settings
from uncertain.decide.judge.reference.tempered_smc import effective_size, run_tempered_smc
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.models.location import Location
from uncertain.streams.formats.posteriordb import find_posteriors

pytestmark = pytest.mark.usefixtures("double")


def located() -> BatchPosterior:
    """Twenty measurements of two sources at (1, 1) and (-1, -.5)."""
    rng = np.random.default_rng(3)
    actions = rng.normal(size=(20, 2)) * 1.2
    places = np.asarray([[1.0, 1.0], [-1.0, -0.5]])
    apart = np.square(actions[:, None] - places[None]).sum(-1)
    signal = np.log(0.1 + (1 / (1e-4 + apart)).sum(1))
    return BatchPosterior(Location(), actions, signal + 0.5 * rng.normal(size=20))


def test_both_labellings_have_the_same_weight() -> None:
    problem = located()
    found = run_tempered_smc(problem, jax.random.key(0), 100_000)
    assert found.why is None
    first = (found.particles[:, 0] > found.particles[:, 2])[:, None].astype(float)
    error = 0.5 / np.sqrt(effective_size(first, found.ancestors)[0])
    # 4.4 standard errors, by ancestors: one false alarm in 1e5. And the error must tell something.
    assert abs(first.mean() - 0.5) < 4.4 * error
    assert error < 0.02
    # Both labels are there because there are two modes, not because nothing was learnt.
    assert abs(found.particles[:, 0] - found.particles[:, 2]).mean() > 1


def test_chains_that_keep_their_labels_are_not_a_reference() -> None:
    problem = located()
    _, said = reference_draws.make_draws(
        problem, Settings(method="nuts", longer=0, draws=500, warm=500)
    )
    assert said["kind"] == "none"
    assert "R-hat" in said["why"]


def test_chains_and_particles_find_what_algebra_finds() -> None:
    rng = np.random.default_rng(1)
    actions, seen = rng.normal(size=(12, 3)), rng.normal(size=12)
    problem = BatchPosterior(Linear(arms=0, features=3), actions, seen)
    exact, said = reference_draws.make_draws(problem, Settings(method="exact"))
    assert said["kind"] == "exact"
    for method in ("nuts", "smc"):
        draws, said = reference_draws.make_draws(problem, Settings(method=method))
        assert said["kind"] == method
        error = exact.std(0) / np.sqrt(said["ess"])
        # Three means and three variances at 1e-5 each; a variance's error is sqrt(2) times that.
        assert (np.abs(draws.mean(0) - exact.mean(0)) < 4.4 * error).all()
        ratio = draws.var(0) / np.diag(np.cov(exact.T))
        assert (np.abs(ratio - 1) < 4.4 * np.sqrt(2 / said["ess"] + 2 / 10_000)).all()


@pytest.mark.parametrize(
    ("collection", "name"),
    [
        ("posteriordb", "arK-arK"),
        ("posteriordb", "earnings-logearn_height"),
        ("posteriordb", "eight_schools-eight_schools_noncentered"),
        ("posteriordb", "gp_pois_regr-gp_regr"),
        ("posteriordb", "hmm_example-hmm_example"),
        ("posteriordb", "kidiq-kidscore_momiq"),
        ("posteriordb", "low_dim_gauss_mix-low_dim_gauss_mix"),
        ("posteriordb", "sblrc-blr"),
    ],
)
def test_every_target_has_the_density_of_its_draws(data: Path, collection: str, name: str) -> None:
    source = find_posteriors(data / collection)[name]
    subject = load_problem(source, load_target(source, None, None))
    assert subject.stein is not None
    # Twice the unknowns at 1e-5 each: some 1e-3 for all targets together.
    assert subject.stein < 4.4


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("brownian_motion_missing_middle_observations", "exact"),
        ("eight_schools", "nuts"),
    ],
)
def test_own_draws_meet_told_moments_and_steins_identities(
    data: Path, name: str, kind: str
) -> None:
    source = find_posteriors(data / "inference_gym")[name]
    target = load_target(source, None, None)
    draws, said = reference_draws.make_draws(build_target_posterior(target), Settings())
    assert said["kind"] == kind
    subject = load_problem(source, target, lambda _: (draws, said))
    assert subject.stein is not None
    assert subject.stein < 4.4
    mine, theirs = reference_moments(target, draws, said), subject.reference
    assert theirs is not None
    error = np.hypot(mine.mean_error, theirs.mean_error)
    # Some thirty means at 1e-5 each.
    assert np.abs((mine.mean - theirs.mean) / error).max() < 4.4
