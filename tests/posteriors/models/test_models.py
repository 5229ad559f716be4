"""Each model's formulas against the same ones in NumPy and SciPy."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats
from support import actions, run_once, signature, simulate
from uncertain.posteriors.base import Event, provides
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.death_process import SHARPEST
from uncertain.posteriors.models.number_game import TOP, NumberGame, arithmetic_concepts, concepts
from uncertain.posteriors.parts.outcomes import Finite, Other, outcome_kind
from uncertain.posteriors.parts.unknowns import log_likelihood, unknowns_of
from uncertain.posteriors.registry import MODELS, build_model


@pytest.mark.parametrize("name", sorted(MODELS))
def test_events_have_the_shapes_of_the_model(name: str) -> None:
    model = build_model(name)
    events = simulate(model, 5)
    assert events.action.shape == (5, model.actions.size)
    assert np.all(np.isfinite(events.observation))
    stats = model.init_stats()
    event = jax.tree.map(lambda x: np.asarray(x)[0], events)
    assert signature(jax.jit(model.update_stats)(stats, event)) == signature(stats)


@pytest.mark.parametrize("text", ["linear", "linear:arms=0:features=3", "drifting"])
def test_linear_agrees_with_predict(text: str) -> None:
    model = build_model(text)
    unknowns = unknowns_of(model)
    u = run_once(lambda key: unknowns.sample(key, 1)[0], jax.random.key(1))

    @jax.jit
    def answers(action: jax.Array) -> tuple[jax.Array, ...]:
        d = model.predict(unknowns.constrain(u), (), action)
        return d.mean, d.scale, *model.linear(action)

    for action in actions(model, np.random.default_rng(0), 5):
        mean, spread, x, scale = answers(action)
        np.testing.assert_allclose(mean, np.asarray(x) @ u, rtol=1e-5, atol=1e-6)
        assert spread == scale


def test_arms_are_disjoint() -> None:
    model = build_model("linear:arms=3:features=2")
    x, _ = model.linear(jnp.asarray([1.0, 5.0, 7.0]))
    assert x.tolist() == [0, 0, 0, 1, 5, 7, 0, 0, 0]


def test_logistic_is_the_logistic_function() -> None:
    model = build_model("logistic:arms=2:features=1:offset=-1.5")
    weights = jnp.asarray([0.1, 0.2, 0.3, 0.4])
    d = model.predict({"weights": weights}, (), jnp.asarray([1.0, 2.0]))
    np.testing.assert_allclose(np.exp(d.log_prob(1)), special.expit(0.3 + 0.8 - 1.5), rtol=1e-5)


def test_binomial_is_scipys() -> None:
    model = build_model("binomial:arms=2:features=1:trials=7:offset=-0.5")
    weights = jnp.asarray([0.1, 0.2, 0.3, 0.4])
    d = model.predict({"weights": weights}, (), jnp.asarray([1.0, 2.0]))
    chance = special.expit(0.3 + 0.8 - 0.5)
    counts = np.arange(8)
    expected = scipy_stats.binom(7, chance).logpmf(counts)
    np.testing.assert_allclose(d.log_prob(counts), expected, rtol=1e-5)
    assert outcome_kind(model) == Finite(tuple(counts.astype(float)))
    assert model.reward(jnp.zeros(2), jnp.float32(3)) == 3


def test_binomial_with_one_trial_is_logistic() -> None:
    u = jnp.asarray([0.7, -1.2, 0.4])
    action = jnp.asarray([1.0, -0.5])
    one, other = (
        [
            log_likelihood(
                build_model(f"{name}:arms=0:features=2:intercept=true"), u, (), action, y
            )
            for y in (jnp.float32(0), jnp.float32(1))
        ]
        for name in ("binomial:trials=1", "logistic")
    )
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_poisson_is_scipys() -> None:
    model = build_model("poisson:arms=0:features=2:offset=0.3")
    d = model.predict({"weights": jnp.asarray([0.5, -1.0])}, (), jnp.asarray([1.0, 0.25]))
    counts = np.arange(12)
    expected = scipy_stats.poisson(np.exp(0.5 - 0.25 + 0.3)).logpmf(counts)
    np.testing.assert_allclose(d.log_prob(counts), expected, rtol=1e-5)
    assert outcome_kind(model) == Other(())
    assert model.reward(jnp.zeros(2), jnp.float32(3)) == 3


@pytest.mark.parametrize("predictor", [-1e6, 1e6])
def test_poisson_rates_out_of_range_stay_finite(predictor: float) -> None:
    model = build_model("poisson:arms=1:features=0")
    for y in (0.0, 3.0):
        u = jnp.asarray([predictor])
        assert np.isfinite(log_likelihood(model, u, (), jnp.zeros(1), jnp.float32(y)))
    assert model.predict({"weights": u}, (), jnp.zeros(1)).sample(jax.random.key(0)) >= 0


def test_death_process_is_as_published() -> None:
    model = build_model("death-process")
    prior = model.prior()["theta"]
    rates = np.asarray([0.05, 0.8, 3.0])
    expected = scipy_stats.truncnorm(-1, np.inf, 1, 1).logpdf(rates)
    np.testing.assert_allclose(prior.log_prob(rates), expected, rtol=1e-5)
    counts = np.arange(51)
    for theta in rates:
        for time in (0.1, 1.0, 5.0):
            d = model.predict({"theta": jnp.float32(theta)}, (), jnp.asarray([time]))
            chances = scipy_stats.binom(50, -np.expm1(-theta * time)).pmf(counts)
            # Terms of up to 50 x 15 cancel; float32's last place there is 6e-5.
            np.testing.assert_allclose(np.exp(d.log_prob(counts)), chances, atol=6e-5)
    # Nobody is ill at time 0 (or before); all are at last.
    for time, ill in ((0.0, 0), (-3.0, 0), (1e4, 50)):
        d = model.predict({"theta": jnp.float32(1)}, (), jnp.asarray([time]))
        assert d.log_prob(ill) == pytest.approx(0, abs=1e-6)


def test_death_process_looks_where_the_information_peaks() -> None:
    def information(x: np.ndarray) -> np.ndarray:
        """About log theta, at hazard x: (x e^-x)^2 / (e^-x (1 - e^-x)) a member, over x^2."""
        return np.square(x) * np.exp(-x) / -np.expm1(-x)

    x = np.linspace(0.5, 3, 25_001)
    assert x[np.argmax(information(x))] == pytest.approx(SHARPEST, abs=1e-3)


@pytest.mark.parametrize("text", ["binomial:trials=0", "death-process:population=0"])
def test_counts_of_nobody_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="must be at least 1"):
        build_model(text)


def test_drifting_forgets_and_stays_stationary() -> None:
    model = build_model("drifting:arms=2:features=0:memory=10.0:scale=2.0")
    params = {"weights": jnp.asarray([1.0, -3.0])}
    d = model.dynamics(params, jnp.zeros(1), jnp.float32(5.0))["weights"]
    kept = np.exp(-0.5)
    np.testing.assert_allclose(d.mean, kept * np.asarray([1.0, -3.0]), rtol=1e-5)
    np.testing.assert_allclose(d.variance, 4 * (1 - kept**2), rtol=1e-5)


@pytest.mark.parametrize(("link", "scale"), [("erf", 1.0), ("phi", np.sqrt(2))])
def test_discounting_chances(link: str, scale: float) -> None:
    model = build_model(f"discounting:link={link}")
    rng = np.random.default_rng(1)
    for _ in range(20):
        log_k, alpha = rng.normal(-4.25, 1.5), abs(rng.normal(0, 2))
        now, delay = rng.uniform(0, 100), rng.uniform(1, 100)
        gap = 100 / (1 + np.exp(log_k) * delay) - now
        chance = 0.01 + 0.98 * 0.5 * (1 + special.erf(gap / (alpha + 1e-3) / scale))
        params = {"log_k": jnp.float32(log_k), "alpha": jnp.float32(alpha)}
        d = model.predict(params, (), jnp.asarray([now, delay], jnp.float32))
        # A gap of some tens over a small alpha magnifies float32's rounding.
        np.testing.assert_allclose(d.probs, chance, atol=1e-4)


def test_discounting_prior_is_the_published_one() -> None:
    prior = build_model("discounting").prior()
    x = np.asarray([0.3, 1.7])
    np.testing.assert_allclose(
        prior["log_k"].log_prob(x), scipy_stats.norm(-4.25, 1.5).logpdf(x), rtol=1e-5
    )
    np.testing.assert_allclose(
        prior["alpha"].log_prob(x), scipy_stats.halfnorm(scale=2).logpdf(x), rtol=1e-5
    )


def test_location_is_the_log_intensity() -> None:
    model = build_model("location")
    rng = np.random.default_rng(2)
    for _ in range(10):
        sources, design = rng.normal(size=(2, 2)), rng.normal(size=2)
        signal = 0.1 + sum(1 / (1e-4 + np.sum((s - design) ** 2)) for s in sources)
        d = model.predict({"sources": jnp.asarray(sources)}, (), jnp.asarray(design))
        np.testing.assert_allclose(d.mean, np.log(signal), rtol=1e-4, atol=1e-5)
        assert d.scale == 0.5


def test_finite_refuses_tables_that_are_none() -> None:
    assert build_model("finite").reward(jnp.zeros(1), jnp.float32(1)) == 1
    for table in ("((0.5,0.4),)", "(((0.5,0.4),),)", "(((1.5,-0.5),),)"):
        with pytest.raises(UsageError, match="finite: table must be"):
            build_model(f"finite:table={table}")
    with pytest.raises(UsageError, match="2 weights for 4 hypotheses"):
        build_model("finite:weights=(1.0,2.0)")


def test_causal_pair_counts_and_forced_values() -> None:
    model = build_model("causal-pair:prior_count=1.0")
    one = jnp.ones(())

    def event(act: int, code: int) -> Event:
        return Event(jnp.asarray([float(act)]), jnp.float32(code), one, jnp.int32(0), one)

    stats = model.init_stats()
    for act, code in ((0, 3), (0, 3), (2, 2), (3, 0)):
        stats = model.update_stats(stats, event(act, code))
    assert stats.x.tolist() == [1, 2]
    assert stats.y.tolist() == [1, 2]
    assert stats.y_given_x.tolist() == [[0, 0], [1, 2]]
    assert stats.x_given_y.tolist() == [[1, 0], [0, 2]]
    forced = model.predict({"structure": jnp.int32(1)}, stats, jnp.asarray([1.0]))
    # do x = 0: x is 0 for certain, y follows its counts under x = 0.
    np.testing.assert_allclose(forced.probs, [0.5, 0.5, 0, 0], atol=1e-6)
    for structure in range(3):
        for act in range(5):
            d = model.predict({"structure": jnp.int32(structure)}, stats, jnp.asarray([float(act)]))
            np.testing.assert_allclose(d.probs.sum(), 1, rtol=1e-5)


def test_number_game_concepts() -> None:
    found = arithmetic_concepts()
    numbers = {name: set(np.flatnonzero(m) + 1) for name, m in found.items()}
    assert numbers["power of 2"] == {2, 4, 8, 16, 32, 64}
    assert numbers["square"] == {n * n for n in range(1, 11)}
    assert numbers["cube"] == {1, 8, 27, 64}
    assert len(numbers["prime"]) == 25
    assert numbers["ends in 7"] == set(range(7, 100, 10))
    assert len(numbers["contains 9"]) == 19
    names, members, interval = concepts()
    assert members.shape == (len(names), TOP)
    assert interval.sum() == TOP * (TOP + 1) // 2
    assert members[names.index("10 to 12")].nonzero()[0].tolist() == [9, 10, 11]
    assert not np.any(members.sum(1) == 0)


def test_number_game_prior() -> None:
    logs = NumberGame(rules=0.3).log_weights()
    _, _, interval = concepts()
    assert np.exp(logs).sum() == pytest.approx(1)
    assert np.exp(logs[~interval]).sum() == pytest.approx(0.3)


def test_size_principle() -> None:
    names, members, _ = concepts()
    weights = np.exp(NumberGame(examples=(16, 8, 2, 64)).log_weights())
    assert weights[names.index("power of 2")] > 0.5
    assert weights[names.index("power of 2")] > 100 * weights[names.index("even")]
    # Without the size principle, membership alone cannot tell the two.
    plain = np.exp(NumberGame().log_weights()) * members[:, [15, 7, 1, 63]].all(1)
    assert plain[names.index("even")] == pytest.approx(plain[names.index("power of 2")])


def read(folder: Path) -> tuple[list[tuple[int, ...]], np.ndarray, np.ndarray, np.ndarray]:
    """Sets, and for every row its set's index, target and people's rate of yes."""
    rows = (folder / "number_game" / "human-data.even_sets.txt").read_text().splitlines()[1:]
    fields = [row.split("\t") for row in rows]
    sets = [tuple(int(n) for n in f[1].split(",")) for f in fields]
    distinct = sorted(set(sets))
    index = {s: i for i, s in enumerate(distinct)}
    yes, no = (np.asarray([float(f[k]) for f in fields]) for k in (2, 3))
    target = np.asarray([int(f[0]) for f in fields])
    return distinct, np.asarray([index[s] for s in sets]), target, yes / (yes + no)


def test_number_game_predicts_people(data: Path) -> None:
    """Its correlation with people's rates of yes beats each target's own average over the sets.

    The average is generous: it is fitted to these very answers, the model to none of them.
    """
    if not (data / "number_game").is_dir():
        pytest.skip(f"no number_game in {data}")
    distinct, which, target, rate = read(data)
    members = concepts()[1].astype(float)
    predicted = np.stack([np.exp(NumberGame(examples=s).log_weights()) @ members for s in distinct])
    model = np.corrcoef(predicted[which, target - 1], rate)[0, 1]
    mean = np.bincount(target, rate, TOP + 1) / np.maximum(
        np.bincount(target, minlength=TOP + 1), 1
    )
    marginal = np.corrcoef(mean[target], rate)[0, 1]
    nothing = np.exp(NumberGame().log_weights()) @ members
    prior = np.corrcoef(nothing[target - 1], rate)[0, 1]
    print(f"correlation: model {model:.3f}, target's average {marginal:.3f}, prior {prior:.3f}")
    # A correlation over 25 000 rows has a standard error below .01.
    assert model > marginal + 0.1
    # Negative control: the same predictions given to other sets.
    shuffled = predicted[np.random.default_rng(0).permutation(len(distinct))]
    assert np.corrcoef(shuffled[which, target - 1], rate)[0, 1] < model - 0.1


def test_optional_parts_are_what_models_say() -> None:
    assert provides(build_model("linear"), "linear")
    assert not provides(build_model("logistic"), "linear")
    assert not provides(build_model("discounting"), "reward")


# A network.


def forward(model, params, prefix, x):
    """The network in NumPy, float64."""
    layers = [np.asarray(params[f"{prefix}layer{i}"], float) for i in range(len(model.hidden))]
    for weights in layers:
        x = np.maximum(weights[:, :-1] @ x + weights[:, -1], 0.0)
    head = np.asarray(params[f"{prefix}head"], float)
    return head[:, :-1] @ x + head[:, -1]


NETWORKS = [
    "mlp:hidden=(4,3)",
    "mlp:hidden=():arms=3",
    "mlp:classes=3",
    "mlp:hidden=(5,):arms=2:classes=2:prior_function=0.7",
]


@pytest.mark.parametrize("text", NETWORKS)
def test_network_agrees_with_numpy(text: str) -> None:
    model = build_model(text + ":scale=1.5")
    unknowns = unknowns_of(model)
    key = jax.random.key(1)
    params = run_once(lambda key: unknowns.constrain(unknowns.sample(key, 1)[0]), key)

    @jax.jit
    def predicted(action: jax.Array) -> jax.Array:
        d = model.predict(params, (), action)
        return d.probs if model.classes else d.mean

    for action in actions(model, np.random.default_rng(0), 4):
        x = np.asarray(action[1:] if model.arms else action, float)
        outputs = forward(model, params, "", x)
        if model.prior_function:
            outputs = outputs + 0.7 * forward(model, params, "prior_", x)
        outputs = 1.5 * outputs.reshape(max(model.arms, 1), -1)
        outputs = outputs[int(action[0]) if model.arms else 0]
        found = predicted(action)
        if model.classes:
            np.testing.assert_allclose(found, special.softmax(outputs), rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_allclose(found, outputs[0], rtol=1e-4, atol=1e-5)


def test_a_silent_unit_is_a_smaller_network() -> None:
    model = build_model("mlp:features=2:hidden=(4,3)")
    unknowns, units = unknowns_of(model), model.units()
    assert units.shape == (unknowns.size,)
    assert set(units) == set(range(-1, 7))
    u = unknowns.sample(jax.random.key(2), 1)[0]
    # Unit 5 is the second of the second layer.
    params = unknowns.constrain(jnp.where(units == 5, 0.0, u))
    full = {n: np.array(p) for n, p in unknowns.constrain(u).items()}
    full["layer1"] = np.delete(full["layer1"], 1, axis=0)
    full["head"] = np.delete(full["head"], 1, axis=1)
    x = np.asarray([0.3, -0.8])
    without = forward(model, full, "", x)
    np.testing.assert_allclose(
        model.predict(params, (), jnp.asarray(x)).mean, without[0], rtol=1e-5
    )


def test_head_and_anchors_are_names_of_unknowns() -> None:
    model = build_model("mlp:hidden=(3,):prior_function=1.0")
    names = set(unknowns_of(model).prior)
    assert set(model.head) == {"head"}
    assert set(model.anchors) == {"prior_layer0", "prior_head"} < names
    assert not build_model("mlp").anchors
