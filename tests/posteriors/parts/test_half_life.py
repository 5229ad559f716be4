"""Forgetting by a half-life: oracles where the belief is exact, rules over the whole registry.

See also: tests/statistical/test_forgetting.py for the mean error of particles.
"""

from functools import lru_cache
from typing import Any

import contract_checks as checks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_checks import SMALL, Bound, bind
from support import block, compiled, dense, equal, run_once, simulate, small
from toys import Coin
from uncertain.posteriors import registry
from uncertain.posteriors.base import Draws, Event, Info, Model, Posterior
from uncertain.posteriors.contract import check_posterior
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.parts.buffer_likelihood import BufferLikelihood
from uncertain.posteriors.parts.half_life import with_half_life
from uncertain.posteriors.parts.replay_buffer import ReplayBuffer
from uncertain.posteriors.parts.tempering import fade_buffer, temper
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.registry import POSTERIORS, build_model, build_posterior

H = 7.0
"""The half-life of the oracles, seconds."""
NOW = 60.0
"""When they are asked."""
OF = {"exact": "finite", "dropout": "mlp", "last-layer": "mlp"}
"""Models for those that cannot learn a linear one."""
RANDOM = {"ensemble", "epinet", "last-layer"}
"""Where auto would keep a sample of all the past; under a half-life it forgets the oldest."""


def made(posterior: str, half_life: Any = None, more: str = "") -> tuple[Posterior, Model]:
    model = build_model(small(OF.get(posterior, "linear:arms=0:features=3")))
    text = SMALL[posterior] + more
    if half_life is not None:
        text = f"{text}:half_life={half_life}"
    return compiled(build_posterior(text, model)), model


def weights(times: np.ndarray) -> np.ndarray:
    """What events count at NOW, in the words of the definition."""
    return 0.5 ** ((NOW - times) / H)


@lru_cache(maxsize=64)
def learning(posterior: Posterior, refine: int) -> Any:
    """`run(events) -> state`, the events learnt one by one, compiled."""

    def step(state: Any, item: Any) -> tuple[Any, None]:
        key, event = item
        keys = jax.random.split(key, 1 + refine)
        state = posterior.absorb(keys[0], state, jax.tree.map(lambda x: x[None], event))
        for k in keys[1:]:
            state, _ = posterior.refine(k, state)
        return state, None

    def run(events: Event) -> Any:
        keys = jax.random.split(jax.random.key(1), len(events.weight))
        return jax.lax.scan(step, posterior.init(jax.random.key(0)), (keys, events))[0]

    return jax.jit(run)


def learnt(posterior: Posterior, events: Event, order: Any, refine: int = 0) -> Any:
    """The state after the events in some order."""
    return learning(posterior, refine)(jax.tree.map(lambda x: np.asarray(x)[order], events))


def shuffled(n: int) -> list[np.ndarray]:
    """Orders of n events: that of their times and three in which most come late."""
    return [np.arange(n), *(np.random.default_rng(i).permutation(n) for i in range(3))]


# Oracles in double precision. Absolute tolerance 1e-9: some hundred operations on numbers of order
# one, of relative error 1e-16 each. Counting events by when they arrived is off by 1e-2 or more.

EXACT, FAR = 1e-9, 1e-2


@pytest.mark.parametrize("text", ["linear:arms=0:features=3", "linear:arms=2:features=1"])
def test_gaussian_is_the_weighted_normal_equations(double: None, text: str) -> None:
    model = build_model(text)
    posterior = compiled(build_posterior(f"laplace:half_life={H}", model))
    events = jax.tree.map(lambda x: np.asarray(x, np.float64), simulate(model, 50))
    rows = np.stack([np.asarray(model.linear(a)[0]) for a in events.action])
    w = weights(events.time) / 0.5**2
    precision = np.eye(rows.shape[1]) + (rows.T * w) @ rows
    mean = np.linalg.solve(precision, (rows.T * w) @ events.observation)
    for order in shuffled(50):
        state = learnt(posterior, events, order)
        belief = posterior.belief(jax.random.key(2), state, jnp.asarray(NOW))
        np.testing.assert_allclose(belief.mean, mean, atol=EXACT)
        np.testing.assert_allclose(dense(belief.covariance), np.linalg.inv(precision), atol=EXACT)
    # Negative control: an event weighed by when it arrived instead of by its own time.
    arrived = events._replace(time=np.sort(events.time))
    late = jax.tree.map(lambda x: x[shuffled(50)[1]], events)._replace(time=arrived.time)
    wrong = learnt(posterior, late, np.arange(50))
    belief = posterior.belief(jax.random.key(2), wrong, jnp.asarray(NOW))
    assert np.abs(belief.mean - mean).max() > FAR


def test_enumeration_is_the_weighted_sum_of_logs(double: None) -> None:
    model = build_model("finite")
    posterior = compiled(build_posterior(f"exact:half_life={H}", model))
    events = jax.tree.map(lambda x: np.asarray(x, np.float64), simulate(model, 50))
    table = np.asarray(model.table)
    arm, outcome = events.action[:, 0].astype(int), events.observation.astype(int)
    logs = np.log(table[:, arm, outcome]) @ weights(events.time)
    expected = np.exp(logs - np.logaddexp.reduce(logs))
    unweighted = np.log(table[:, arm, outcome]).sum(1)
    for order in shuffled(50):
        state = learnt(posterior, events, order)
        belief = posterior.belief(jax.random.key(2), state, jnp.asarray(NOW))
        np.testing.assert_allclose(np.exp(belief.log_weights), expected, atol=EXACT)
    all_alike = np.exp(unweighted - np.logaddexp.reduce(unweighted))
    assert np.abs(all_alike - expected).max() > FAR


def test_a_coin_has_the_beta_of_weighted_counts(double: None) -> None:
    """A grid is only so fine: 2e-3, against .1 for a coin that never forgets."""
    coin = Coin()
    posterior = compiled(build_posterior(f"exact:grid=400:half_life={H}", coin))
    time = np.arange(1.0, 51.0)
    heads = (time < 30).astype(float)  # it lands on one side only, then on the other
    events = Event(np.zeros((50, 1)), heads, time, np.arange(50, dtype=np.int32), np.ones(50))
    w = weights(time)
    a, b = coin.a + w @ heads, coin.b + w @ (1 - heads)
    state = learnt(posterior, events, np.random.default_rng(0).permutation(50))
    belief = posterior.belief(jax.random.key(2), state, jnp.asarray(NOW))
    chance = np.asarray(jax.jit(jax.vmap(unknowns_of(coin).constrain))(belief.values)["chance"])
    share = np.exp(belief.log_weights)
    assert share @ chance == pytest.approx(a / (a + b), abs=2e-3)
    never = (coin.a + heads.sum()) / (coin.a + coin.b + 50)
    assert abs(never - a / (a + b)) > 0.1


def test_a_smoothly_fading_memory_fades_its_density() -> None:
    """Kept and folded events alike: half as much of each."""
    model = build_model("logistic:arms=0:features=3")
    events = simulate(model, 40)
    particles = run_once(lambda key: unknowns_of(model).sample(key, 5).T, jax.random.key(3))
    for full in ("fold", "forget"):
        store = ReplayBuffer(model, 16, full)
        extend, log_density = jax.jit(store.extend), jax.jit(BufferLikelihood(store).log_density)
        buffer = extend(jax.random.key(1), store.empty(), events, jnp.zeros(3))
        whole = log_density(buffer, particles)
        half = log_density(jax.jit(fade_buffer)(buffer, jnp.float32(0.5)), particles)
        np.testing.assert_allclose(half, 0.5 * whole, rtol=1e-5, atol=1e-5)
        assert np.abs(whole).min() > 0.1


@pytest.mark.parametrize("factor", [1.0, 0.9, 0.3, 1e-3, 1e-6, 0.0])
def test_a_gaussian_goes_back_by_its_natural_parameters(factor: float) -> None:
    """In single precision, from variances of 1e-5 to 1: two digits are left in the worst case."""
    rng = np.random.default_rng(0)
    root = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    covariance = root @ np.diag([1e-5, 1e-3, 0.1, 1.0]) @ root.T
    mean = rng.normal(size=4)
    precision = np.linalg.inv(covariance)
    expected = np.linalg.inv(factor * precision + (1 - factor) * np.eye(4))
    middle = expected @ (factor * precision @ mean)
    tempered, rounded = jax.jit(temper), np.float32
    got = tempered(rounded(mean), rounded(covariance[None]), rounded(factor))
    got = jax.device_get(got)
    np.testing.assert_allclose(got[1][0], expected, atol=1e-2)
    np.testing.assert_allclose(got[0], middle, atol=1e-2)
    assert np.linalg.eigvalsh(np.asarray(got[1][0], float)).min() > 0
    if factor == 1:
        assert np.array_equal(got[1][0], np.asarray(covariance, np.float32))
    one = tempered(rounded([0.5]), rounded([[[0.01]]]), rounded(factor))
    assert one[1][0, 0, 0] == pytest.approx(1 / (factor * 100 + 1 - factor), rel=1e-5)


# Every posterior of the registry but trained policies, which have no belief to go back; the quick
# suite runs one of each kind.

EVERY = sorted(set(POSTERIORS) - {"amortised", "mcmc"})
FEW = ("exact", "laplace", "point")


@pytest.mark.parametrize("name", EVERY)
def test_fading_keeps_the_shape_of_a_state(name: str) -> None:
    posterior, model = made(name, 10)
    assert posterior.fade is None
    check_posterior(name, posterior, model)


@pytest.mark.parametrize(
    "name", [n if n in FEW else pytest.param(n, marks=pytest.mark.nightly) for n in EVERY]
)
def test_a_very_long_half_life_is_none(name: str) -> None:
    """Up to renormalising log weights; a half-life of ten seconds is something else."""
    plain, model = made(name, more=":full=forget" if name in RANDOM else "")
    events = jax.tree.map(np.asarray, simulate(model, 24))

    def seen(posterior: Posterior) -> Any:
        state = learnt(posterior, events, np.arange(24), refine=1)
        return posterior.belief(jax.random.key(2), state, jnp.float32(NOW))

    without = seen(plain)
    very_long = seen(made(name, 1e30)[0])
    for a, b in zip(jax.tree.leaves(without), jax.tree.leaves(very_long), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    short = seen(made(name, 10)[0])
    pairs = zip(jax.tree.leaves(without), jax.tree.leaves(short), strict=True)
    assert max(np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in pairs) > 1e-3


def test_inf_is_no_half_life_at_all() -> None:
    plain, _ = made("laplace")
    assert made("laplace", "inf")[0] is plain
    assert made("laplace", 10)[0] is made("laplace", 10)[0]


QUICK = checks.keeps_signature, checks.ignores_masked, checks.reuses_no_key
CHECKED = [
    pytest.param(n, c, marks=() if n == "laplace" and c in QUICK else pytest.mark.nightly)
    for n in EVERY
    for c in checks.CHECKS
]


@pytest.mark.parametrize(("name", "check"), CHECKED)
def test_keeps_the_contract(name: str, check: Any) -> None:
    check(bind(*made(name, 10)))


def test_an_event_of_no_weight_does_not_let_time_pass() -> None:
    """Of the exact ones too; a wrapper that reads the time of padding is found out."""
    posterior, model = made("exact", 10)
    checks.ignores_masked(bind(posterior, model))

    def careless(key: Any, state: Any, events: Event) -> Any:
        real = posterior.absorb(key, state, events)
        return real._replace(time=jnp.maximum(real.time, jnp.nan_to_num(events.time[0])))

    with pytest.raises(AssertionError):
        checks.ignores_masked(Bound(posterior._replace(absorb=careless), model))


def test_late_events_are_as_old_as_they_are_to_a_memory() -> None:
    """An event of time 3 learnt at 10 counts in the memory what it would have come to count."""
    posterior, model = made("point", 10)
    events = block(simulate(model, 2), 0, 2)._replace(time=np.float32([3, 10]))
    in_turn = learnt(posterior, events, np.array([0, 1])).inner.estimate.buffer.events.weight
    late = learnt(posterior, events, np.array([1, 0])).inner.estimate.buffer.events.weight
    np.testing.assert_allclose(in_turn[:2], [0.5**0.7, 1], rtol=1e-6)
    np.testing.assert_allclose(late[:2], [1, 0.5**0.7], rtol=1e-6)


def test_what_is_misheard_grows_as_it_fades() -> None:
    """An event that counts a quarter has a quarter of the precision: noise of twice the scale."""
    text = "ensemble:particles=4:capacity=8:perturb=true:bootstrap=none:half_life=5"
    model = build_model("linear:arms=0:features=3")
    posterior = compiled(build_posterior(text, model))
    events = block(simulate(model, 2), 0, 2)._replace(time=np.float32([0, 10]))
    first = learnt(posterior, block(events, 0, 1), np.array([0])).inner.noise[0]
    state = posterior.absorb(
        jax.random.key(4), posterior.init(jax.random.key(0)), block(events, 0, 1)
    )
    later = posterior.absorb(jax.random.key(5), state, block(events, 1, 2)).inner
    np.testing.assert_allclose(later.noise[0], 2 * state.inner.noise[0], rtol=1e-6)
    assert np.abs(first).max() > 0
    gone = posterior.absorb(
        jax.random.key(6), state, block(events, 1, 2)._replace(time=np.float32([1e6]))
    ).inner
    assert np.all(np.isfinite(gone.noise))
    assert np.all(gone.noise[0] == 0)


# What cannot forget says so.


@pytest.mark.parametrize(
    ("text", "model", "words"),
    [
        ("laplace:half_life=9", "drifting", ("laplace", "Drifting", "half_life=9", "dynamics")),
        ("smc:half_life=9", "drifting", ("smc", "Drifting", "half_life=9", "dynamics")),
        ("exact:half_life=9", "causal-pair", ("exact", "CausalPair", "half_life=9", "summary")),
        ("point:full=reservoir:half_life=9", "linear", ("point", "Linear", "full=reservoir")),
        ("smc:full=reservoir:half_life=9", "linear", ("smc", "Linear", "full=forget")),
        ("laplace:full=reservoir:half_life=9", "logistic", ("laplace", "Logistic", "full=forget")),
        ("laplace:half_life=-1", "linear", ("half_life=-1", "above 0")),
        ("laplace:half_life=soon", "linear", ("half_life=soon", "above 0")),
        ("laplace:half_life=true", "linear", ("half_life=True", "above 0")),
        ("laplace:half_life=nan", "linear", ("half_life=nan", "above 0")),
    ],
)
def test_refusals_name_both(text: str, model: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        build_posterior(text, build_model(model))
    for word in words:
        assert word in str(refused.value)


def test_a_sample_of_all_the_past_gives_way_to_the_last_events() -> None:
    """`auto` is a wish for what is best, and here that is another policy."""
    model = build_model("linear:arms=0:features=3")
    posterior = compiled(build_posterior("ensemble:particles=4:capacity=8:half_life=10", model))
    forget = build_posterior("ensemble:particles=4:capacity=8:full=forget", model)
    sample = build_posterior("ensemble:particles=4:capacity=8", model)
    events = jax.tree.map(np.asarray, simulate(model, 64))
    kept = np.asarray(learnt(posterior, events, np.arange(64)).inner.buffer.events.id)
    assert np.array_equal(kept, learnt(forget, events, np.arange(64)).buffer.events.id)
    assert not np.array_equal(kept, learnt(sample, events, np.arange(64)).buffer.events.id)


def counting(**more: Any) -> Posterior:
    """A backend of one's own: a sum of observations and their number."""

    def init(key: Any) -> Any:
        return {"total": jnp.zeros(2), "count": jnp.zeros(())}

    def absorb(key: Any, state: Any, events: Event) -> Any:
        total = state["total"] + jnp.sum(events.weight * events.observation)
        return {"total": total, "count": state["count"] + jnp.sum(events.weight)}

    def refine(key: Any, state: Any) -> tuple[Any, Info]:
        return state, Info(jnp.zeros(()), jnp.ones((), bool), {})

    def belief(key: Any, state: Any, now: Any) -> Draws:
        return Draws((state["total"] / (1 + state["count"]))[None, :], jnp.zeros(1))

    return Posterior(init, absorb, refine, belief)._replace(**more)


def test_a_posterior_of_ones_own_forgets_if_it_can_fade(monkeypatch: pytest.MonkeyPatch) -> None:
    def fade(key: Any, state: Any, factor: Any) -> Any:
        return jax.tree.map(lambda x: factor * x, state)

    def build(model: Model) -> Posterior:
        return counting(fade=fade)

    def stubborn(model: Model) -> Posterior:
        return counting()

    def wrong(model: Model) -> Posterior:
        return counting(fade=lambda key, state, factor: (state,))

    for name, found in (("mine", build), ("stubborn", stubborn), ("wrong", wrong)):
        monkeypatch.setitem(registry.POSTERIORS, name, found)  # type: ignore[arg-type]
    model = build_model("linear:arms=0:features=2")
    posterior = compiled(build_posterior("mine:half_life=5", model))
    events = block(simulate(model, 1), 0, 1)
    state = posterior.absorb(jax.random.key(1), posterior.init(jax.random.key(0)), events)
    whole = posterior.belief(jax.random.key(2), state, jnp.asarray(events.time[0]))
    later = posterior.belief(jax.random.key(2), state, jnp.asarray(events.time[0] + 5))
    assert isinstance(whole, Draws)
    assert not equal(whole, later)
    with pytest.raises(UsageError, match=r"stubborn on Linear: .*no fade\(\)"):
        build_posterior("stubborn:half_life=5", model)
    with pytest.raises(UsageError, match=r"wrong: fade\(\) changes the structure"):
        build_posterior("wrong", model)


def test_its_half_life_is_swept_like_any_scalar() -> None:
    """A leaf of the state: one program for many."""
    posterior, model = made("laplace", 10)
    events = jax.tree.map(np.asarray, simulate(model, 12))
    start = posterior.init(jax.random.key(0))
    axes = jax.tree.map(lambda _: None, start)._replace(half_life=0)

    def run(state: Any) -> Any:
        state = posterior.absorb(jax.random.key(1), state, events)
        return posterior.belief(jax.random.key(2), state, jnp.float32(13)).mean

    many = jax.jit(jax.vmap(run, in_axes=(axes,)))(
        start._replace(half_life=jnp.float32([5.0, 10.0]))
    )
    np.testing.assert_allclose(many[1], jax.jit(run)(start), rtol=1e-5, atol=1e-6)
    assert np.abs(many[0] - many[1]).max() > 1e-3


def test_wrapping_needs_a_fade() -> None:
    with pytest.raises(AssertionError):
        with_half_life(counting(), 5.0)
