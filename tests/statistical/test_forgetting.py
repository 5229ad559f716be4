"""Forgetting by particles and climbs: against the exact faded posterior, and back to the prior.

The standard error comes from independent runs, as in test_smc.py.

See also: tests/posteriors/parts/test_half_life.py for backends whose forgetting is exact.
"""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_checks import SMALL
from support import Z, dense, simulate, small
from uncertain.posteriors.base import Draws, Event
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.registry import POSTERIORS, build_model, build_posterior

LIMIT = Z + 0.5
"""Some ten comparisons at a total false-alarm rate of 1e-5 (Bonferroni)."""
H = 8.0
"""Seconds; events are one apart, so that a dozen of them count."""


def events_of(model: Any, n: int, shuffle: bool) -> Event:
    events = jax.tree.map(np.asarray, simulate(model, n))
    order = np.random.default_rng(0).permutation(n) if shuffle else np.arange(n)
    return jax.tree.map(lambda x: x[order], events)


def runs(text: str, model: Any, events: Event, now: float, count: int, refine: int) -> Any:
    """Beliefs `[R, ...]` at `now` of independent runs that learnt the same events."""
    posterior = build_posterior(text, model)
    blocks = jax.tree.map(lambda x: jnp.asarray(x)[:, None], events)

    def one(key: Any) -> Any:
        start_key, belief_key, step_key = jax.random.split(key, 3)

        def step(state: Any, item: Any) -> Any:
            keys, event = item
            state = posterior.absorb(keys[0], state, event)
            for k in range(refine):
                state, _ = posterior.refine(keys[1 + k], state)
            return state, None

        keys = jax.random.split(step_key, (len(events.weight), 1 + refine))
        state, _ = jax.lax.scan(step, posterior.init(start_key), (keys, blocks))
        return posterior.belief(belief_key, state, jnp.asarray(now))

    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), count))


def off(estimates: np.ndarray, exact: np.ndarray) -> float:
    """Largest deviation of the mean of runs `[R, F]` from `[F]`, in standard errors."""
    error = estimates.std(0, ddof=1) / np.sqrt(len(estimates))
    return float(np.max(np.abs(estimates.mean(0) - exact) / error))


def probabilities(beliefs: Any, count: int) -> np.ndarray:
    """`[R, H]` of each hypothesis."""
    values, weights = np.asarray(beliefs.values)[:, :, 0], np.exp(np.asarray(beliefs.log_weights))
    return np.stack([(weights * (values == h)).sum(1) for h in range(count)], 1)


def moments(beliefs: Any) -> np.ndarray:
    """`[R, 2 D]`: means, and mean squares."""
    weights = np.exp(np.asarray(beliefs.log_weights, float))[:, :, None]
    values = np.asarray(beliefs.values, float)
    return np.concatenate([(weights * values).sum(1), (weights * values**2).sum(1)], 1)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("gap", [1.0, 12.0])
def test_particles_keep_the_faded_posterior_of_hypotheses(shuffle: bool, gap: float) -> None:
    """In time order and in any other, a second after the last event and one and a half half-lives
    after it."""
    model = build_model("finite")
    events = events_of(model, 40, shuffle)
    now = 40.0 + gap
    beliefs = {}
    for text in ("exact", f"exact:half_life={H}"):
        beliefs[text] = np.exp(np.asarray(runs(text, model, events, now, 1, 0).log_weights, float))[
            0
        ]
    text = f"smc:particles=256:half_life={H}"
    found = probabilities(runs(text, model, events, now, 96, 2), 4)[:, :3]
    assert off(found, beliefs[f"exact:half_life={H}"][:3]) < LIMIT
    assert off(found, beliefs["exact"][:3]) > 10 * LIMIT


@pytest.mark.parametrize("shuffle", [False, True])
def test_particles_keep_the_faded_gaussian(shuffle: bool) -> None:
    model = build_model("linear:arms=0:features=2")
    events = events_of(model, 40, shuffle)
    exact = {}
    for text in ("laplace", f"laplace:half_life={H}"):
        belief = jax.tree.map(
            lambda x: np.asarray(x, float)[0], runs(text, model, events, 41.0, 1, 0)
        )
        square = np.diag(dense(belief.covariance)) + belief.mean**2
        exact[text] = np.concatenate([belief.mean, square])
    found = moments(runs(f"smc:particles=256:half_life={H}", model, events, 41.0, 96, 5))
    assert off(found, exact[f"laplace:half_life={H}"]) < LIMIT
    assert off(found, exact["laplace"]) > 2 * LIMIT


def test_after_a_long_gap_particles_are_prior_draws() -> None:
    """Without one move; where they only were reweighted, one of them would have all the weight."""
    model = build_model("linear:arms=0:features=2")
    events = events_of(model, 40, False)
    text = f"smc:particles=256:half_life={H}"
    beliefs = runs(text, model, events, 40 + 60 * H, 64, 1)
    prior = np.array([0.0, 0.0, 1.0, 1.0])
    assert off(moments(beliefs), prior) < LIMIT
    weights = np.exp(np.asarray(beliefs.log_weights, float))
    assert np.all(1 / np.square(weights).sum(1) > 200)
    assert off(moments(runs("smc:particles=256", model, events, 40 + 60 * H, 64, 1)), prior) > 10


# Back to the prior: every posterior after a gap of sixty half-lives and some refine steps, beside
# the same posterior that has never seen an event and was refined as often.

STEPS = 1000
"""Adam remembers the slopes of the last thousand."""
OF = {"exact": "finite", "dropout": "mlp", "last-layer": "mlp"}
MORE = {"swag": ":window=20"}
"""What it remembers of its own iterates is another memory, of 500 steps unless told otherwise."""
NEAR, APART = 0.4, 0.5
"""Mean over coordinates, in prior standard deviations, between means, or in nats between spreads.
Sixty-four draws of a prior put means .18 apart and spreads .13 (chance of .4: below 1e-5 for three
coordinates); those who forget nothing are apart by more in one of the two."""


def described(belief: Any, model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log standard deviation of a belief, in prior standard deviations."""
    unknowns = unknowns_of(model)
    if unknowns.discrete:
        return np.exp(np.asarray(belief.log_weights)), np.zeros(1)
    mean, sd = unknowns.gaussian()
    if not isinstance(belief, Draws):
        spread = np.sqrt(np.diag(dense(belief.covariance)))
        return (np.asarray(belief.mean) - mean) / sd, np.log(spread / sd)
    weights = np.exp(np.asarray(belief.log_weights, float))
    away = (np.asarray(belief.values, float) - mean) / sd
    middle = weights @ away
    spread = np.sqrt(weights @ np.square(away - middle))
    return middle, np.log(np.maximum(spread, 1e-2))


def distances(name: str, half_life: str) -> tuple[float, float]:
    """How far a belief after events and a gap is from that of no events."""
    model = build_model(small(OF.get(name, "linear:arms=0:features=3")))
    text = re.sub("particles=[0-9]+", "particles=64", SMALL[name]) + MORE.get(name, "")
    posterior = build_posterior(text + half_life, model)
    events = events_of(model, 40, False)
    last = jax.tree.map(lambda x: x[-1:], events)
    # One event long after the others, that says next to nothing itself.
    last = last._replace(time=np.float32([40 + 60 * H]), weight=np.float32([1e-6]))

    def refined(state: Any, key: Any) -> Any:
        return posterior.refine(key, state)[0], None

    def learn(state: Any, item: Any) -> Any:
        key, event = item
        one, two = jax.random.split(key)
        state = posterior.absorb(one, state, jax.tree.map(lambda x: x[None], event))
        return jax.lax.scan(refined, state, jax.random.split(two, 10))[0], None

    def run(seen: bool, key: Any) -> Any:
        init_key, learn_key, gap_key, refine_key, belief_key = jax.random.split(key, 5)
        state = posterior.init(init_key)
        if seen:
            keys = jax.random.split(learn_key, len(events.weight))
            state = jax.lax.scan(learn, state, (keys, events))[0]
            state = posterior.absorb(gap_key, state, last)
        state = jax.lax.scan(refined, state, jax.random.split(refine_key, STEPS))[0]
        return posterior.belief(belief_key, state, jnp.float32(40 + 60 * H))

    seen, never = (
        described(jax.jit(run, static_argnums=0)(yes, jax.random.key(3)), model)
        for yes in (True, False)
    )
    return tuple(float(np.mean(np.abs(a - b))) for a, b in zip(seen, never, strict=True))


@pytest.mark.parametrize("name", sorted(set(POSTERIORS) - {"amortised", "mcmc"}))
def test_back_to_the_prior(name: str) -> None:
    forgot = distances(name, f":half_life={H}")
    kept = distances(name, "")
    print(name, forgot, kept)
    assert max(forgot) < NEAR
    assert max(kept) > (0.2 if name == "exact" else APART)
