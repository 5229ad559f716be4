"""No event spoils a belief: what would is not learnt, and leaves no trace.

See also: tests/cli/live/test_spoilt.py for what a client is told.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_checks import SMALL
from support import actions, equal, small
from uncertain.decide.loop.core.agent import build_agent
from uncertain.decide.loop.core.compiled import build_learn
from uncertain.posteriors.base import Draws, Event, Gaussian, Model
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.parts.finite import is_whole, keeps_whole
from uncertain.posteriors.parts.outcomes import Finite, Other, outcome_kind
from uncertain.posteriors.registry import MODELS, POSTERIORS, build_model, build_posterior

SOAK = int(os.environ.get("UNCERTAIN_HOSTILE", "10000"))
"""Events of each stream under -m soak."""


def refused(posterior: str, model: str) -> bool:
    try:
        build_posterior(SMALL.get(posterior, posterior), build_model(small(model)))
    except UsageError:
        return True
    return False


def hostile(model: Model, n: int, seed: int) -> Event:
    """Ordinary events among which every second has one number that nobody would send."""
    rng = np.random.default_rng(seed)
    given, kind = actions(model, rng, n), outcome_kind(model)
    if isinstance(kind, Finite):
        y = rng.choice(kind.array, n)
    else:
        shape = kind.shape if isinstance(kind, Other) else ()
        y = np.floor(rng.exponential(3.0, (n, *shape)))
    y, time, weight = y.astype(np.float32), np.arange(1.0, n + 1), np.ones(n)
    for i in range(1, n, 2):
        size = rng.choice([-1, 1]) * 10 ** rng.choice([rng.uniform(4, 10), rng.uniform(-45, -38)])
        choice = rng.integers(5)
        first = 1 if given.shape[1] > 1 else 0  # the arm is checked where lines are read
        if choice == 0 and given.shape[1] > first:
            given[i, rng.integers(first, given.shape[1])] = size
        elif choice == 1 and not isinstance(kind, Finite):
            y[i] = abs(size) if isinstance(kind, Other) else size
        elif choice == 2:
            weight[i] = rng.choice([1e-30, 1e6, 1e10])
        elif choice == 3:
            time[i] = rng.choice([0.0, time[i] / 2, 1e10])
    columns = given, y, time.astype(np.float32), np.arange(n, dtype=np.int32), weight
    return Event(*columns[:4], columns[4].astype(np.float32))


@lru_cache(maxsize=4)
def program(posterior: str, model: str) -> tuple[Any, Any]:
    """`run(events, mask) -> (packed state, learnt [n], whole [n])`, and the model."""
    built = build_model(small(model))
    agent, _ = build_agent(built, SMALL.get(posterior, posterior), "random")
    learning = build_learn(agent)

    def step(packed: Any, item: Any) -> tuple[Any, Any]:
        event, offered = item
        after, report = learning._learn_one(packed, event)
        after = jax.tree.map(lambda a, b: jnp.where(offered, a, b), after, packed)
        state = learning.unpack(after)
        belief = agent.posterior.belief(jax.random.key(9), state.posterior, jnp.float32(1e4))
        return after, (report.learnt, is_whole(belief))

    run = jax.jit(lambda start, *items: jax.lax.scan(step, start, items))

    def from_start(events: Event, offered: np.ndarray) -> Any:
        rows = (Event(*(x[i] for x in events)) for i in range(len(offered)))
        flat = np.stack([learning.write_event(row) for row in rows])
        packed, marks = run(learning.init(jax.random.key(3)), flat, offered)
        return packed, *map(np.asarray, marks)

    return from_start, built


def withstands(posterior: str, model: str, n: int) -> int:
    """Check a stream; return how many of its events were not learnt."""
    run, built = program(posterior, model)
    events = hostile(built, n, seed=5)
    packed, learnt, whole = run(events, np.ones(n, bool))
    assert whole.all(), f"not finite after event {np.argmin(whole)}"
    # Without the refused ones: the same bits, so that they left no trace.
    alone, again, _ = run(events, learnt)
    assert equal(packed, alone)
    assert np.array_equal(again & learnt, learnt)
    return int((~learnt).sum())


@pytest.mark.parametrize(
    ("posterior", "model"),
    [
        ("laplace", "linear"),
        ("laplace", "drifting"),
        ("smc", "linear"),
        ("svgd", "logistic"),
        ("exact", "finite"),
        ("last-layer", "mlp"),
        ("ensemble", "linear"),
    ],
)
def test_a_hostile_stream_leaves_a_finite_belief(posterior: str, model: str) -> None:
    assert withstands(posterior, model, 60) <= 30, "ordinary events are refused"


STUCK = {
    "bonus": "linear mlp", "dropout": "mlp", "epinet": "linear", "exact": "noisy-or",
    "hmc": "testbed", "laplace": "mlp", "last-layer": "mlp", "point": "linear mlp testbed",
    "smc": "discounting noisy-or", "subspace-ekf": "binomial linear mlp surface",
    "svgd": "linear mlp testbed", "swag": "linear mlp testbed",
    "variational": "linear mlp testbed",
}  # fmt: skip
"""Pairs that do not withstand 10 000 events: an event that was learnt leaves a state that is finite
and that most later events would spoil, so they are refused; `subspace-ekf` on two models is not
finite under another key than the one looked at."""


def pairs() -> Iterator[Any]:
    for posterior in sorted(set(POSTERIORS) - {"amortised"}):
        for model in sorted(MODELS):
            known = model in STUCK.get(posterior, "").split()
            # Strict where the list was made; a shorter stream may do no harm.
            mark = [pytest.mark.xfail(reason="stuck", strict=SOAK == 10_000)] if known else []
            yield pytest.param(posterior, model, marks=mark)


@pytest.mark.soak
@pytest.mark.parametrize(("posterior", "model"), list(pairs()))
def test_every_pair_withstands_a_long_hostile_stream(posterior: str, model: str) -> None:
    if refused(posterior, model):
        pytest.skip(f"{posterior} does not learn {model}")
    assert withstands(posterior, model, SOAK) <= SOAK // 2


def test_without_the_guard_one_event_spoils_the_belief() -> None:
    model = build_model("linear:arms=3:features=2")
    posterior = build_posterior("laplace", model)
    event = Event(
        jnp.float32([[1, 1e20, 0.2]]), jnp.float32([1]), jnp.zeros(1), jnp.int32([0]), jnp.ones(1)
    )
    key = jax.random.key(0)
    state = jax.jit(posterior.init)(key)
    after = jax.jit(posterior.absorb)(key, state, event)
    belief = jax.jit(posterior.belief)(key, after, jnp.zeros(()))
    assert not is_whole(belief)
    assert not keeps_whole(state, after, belief)


def test_what_a_whole_belief_is() -> None:
    well = Gaussian(jnp.zeros(2), jnp.eye(2)[None])
    assert is_whole(well)
    assert not is_whole(well._replace(mean=jnp.float32([0, jnp.inf])))
    assert not is_whole(well._replace(covariance=jnp.zeros((1, 2, 2))))
    draws = Draws(jnp.zeros((2, 1)), jnp.log(jnp.float32([1, 0])))
    assert is_whole(draws), "a draw without weight is no fault"
    assert not is_whole(draws._replace(log_weights=jnp.full(2, -jnp.inf)))
    assert not is_whole(draws._replace(values=jnp.full((2, 1), jnp.nan)))
    # A state may hold infinities and, from its start, numbers that are none.
    empty = {"times": jnp.full(3, -jnp.inf), "gap": jnp.float32(jnp.nan), "n": jnp.int32(0)}
    assert keeps_whole(empty, empty, well)
    for spoilt in (jnp.nan, jnp.inf):
        assert not keeps_whole(empty, empty | {"times": jnp.full(3, spoilt)}, well)
