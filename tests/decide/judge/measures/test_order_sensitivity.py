"""Beliefs learnt in other orders: one belief where it is exact, several where it is not.

See also: tests/posteriors/parts/test_half_life.py for events that come late to an exact recursion.
"""

import jax
import numpy as np
import pytest
from uncertain.decide.judge.measures.order_sensitivity import order_disagreement
from uncertain.decide.loop.core.agent import build_agent
from uncertain.decide.loop.core.step import Agent
from uncertain.posteriors.parts.outcomes import outcome_kind
from uncertain.posteriors.registry import build_model
from uncertain.streams.formats.encoding import Encoder
from uncertain.streams.formats.record import Record, Where

KEY = jax.random.key(0)
ROUNDING = 1e-4
"""Of log probabilities in single precision: they are of order ten at most, after sixty updates."""
ORDERED = 1e-2
"""What the beliefs of those who climb or draw lie apart at the least, nats."""
MODEL = "linear:arms=0:features=3"


def agent(posterior: str, model: str = MODEL) -> Agent:
    return build_agent(build_model(model), posterior, "random", refine=1)[0]


def encoder(who: Agent) -> Encoder:
    return Encoder(who.model.actions, outcome_kind(who.model), (), 0)


def records(n: int = 60, late: bool = False, binary: bool = False) -> list[Record]:
    """Made-up events, every third of them half a minute late."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=3)
    found = []
    for i in range(n):
        x = rng.normal(size=3)
        y = float(weights @ x + 0.5 * rng.normal())
        t = float(i) - 30 * (late and i % 3 == 0)
        found.append(
            Record(
                i, Where("made up", i + 1), t, action=x.tolist(), y=float(y > 0) if binary else y
            )
        )
    return found


@pytest.mark.parametrize("posterior", ["laplace", "laplace:half_life=10"])
def test_an_exact_recursion_has_one_belief(posterior: str) -> None:
    who = agent(posterior)
    found = order_disagreement(who, encoder(who), records(late=True), KEY, 3)
    assert found is not None
    assert (found.orders, found.events) == (3, 60)
    assert found.late is not None
    assert max(found.spread, found.chance, found.late) < ROUNDING


@pytest.mark.parametrize("posterior", ["point:capacity=16:full=forget", "smc:particles=32"])
def test_others_have_several(posterior: str) -> None:
    who = agent(posterior)
    found = order_disagreement(who, encoder(who), records(late=True), KEY, 3)
    assert found is not None
    assert found.late is not None
    assert min(found.spread, found.late) > ORDERED
    again = order_disagreement(who, encoder(who), records(late=True), KEY, 3)
    assert again == found


def test_what_is_linearised_depends_on_the_order_and_on_no_chance() -> None:
    """A Gaussian for 0 and 1: another order is another sequence of linearisations. Its start is
    drawn, a tenth of a prior standard deviation off, which is the chance that there is."""
    model = "logistic:arms=0:features=3"
    who = agent("laplace:jitter=0", model)._replace(refine=0)
    found = order_disagreement(who, encoder(who), records(binary=True), KEY, 3)
    assert found is not None
    assert found.chance < ROUNDING < ORDERED / 10 < found.spread


def test_in_time_order_nothing_is_late() -> None:
    who = agent("laplace")
    found = order_disagreement(who, encoder(who), records(20), KEY, 1)
    assert found is not None
    assert found.late is None


def test_events_with_an_order_of_their_own_are_left_out() -> None:
    who = agent("laplace", "drifting:arms=0:features=3")
    assert order_disagreement(who, encoder(who), records(20), KEY, 2) is None
    who = agent("laplace")
    assert order_disagreement(who, encoder(who), records(1), KEY, 2) is None
    assert order_disagreement(who, encoder(who), records(0), KEY, 2) is None
