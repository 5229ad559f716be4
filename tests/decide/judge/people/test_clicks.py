"""What clicks in continuous time are worth, and the published observer on its own data.

See also: tests/posteriors/models/test_delays.py for the belief itself.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from uncertain.decide.judge.people.clicks import (
    best_click_gain,
    click_gains,
    value_trials,
)
from uncertain.decide.judge.people.published_entropies import compare_entropies
from uncertain.posteriors.models.delays import RELIABLE, Devices
from uncertain.streams.formats.record import Record, Where
from uncertain.streams.people.clicks import Trial, read_clicks

WHERE = Where("made.csv", 2)


def click(time: float, node: int) -> Record:
    return Record(f"{time}", WHERE, time, action=node)


def effect(time: float, node: int) -> Record:
    return Record(f"{time}", WHERE, time, y=float(node))


def link_gain() -> float:
    """Of a click on one of two components, its arrow as likely as not: it shows with .9."""
    shows = 0.45
    spread = -shows * math.log(shows) - (1 - shows) * math.log(1 - shows)
    return spread - 0.5 * (-0.9 * math.log(0.9) - 0.1 * math.log(0.1))


def test_gain_of_a_click_by_hand() -> None:
    """One click on one of two components. Waiting, when nothing was clicked, tells nothing.

    The mean of 32 futures lies within 4.4 standard errors, a false alarm in 10^5; the standard
    deviation of what one tells is at most ln 2. A loop of two arrows tells more, so only what
    it may be beyond is bounded, by what there is to know.
    """
    devices = Devices(2, RELIABLE, 4)
    found = jax.jit(lambda key: click_gains(devices, key, devices.init(), jnp.zeros(())))(
        jax.random.key(0)
    )
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found[:, 2], 0, atol=1e-3)
    slack = 4.4 * math.log(2) / math.sqrt(32)
    assert (found[:, :2].mean(0) > link_gain() - slack).all()
    assert (found <= 2 * math.log(2) + 1e-3).all()


def test_the_best_click_is_not_flattered_by_its_luck() -> None:
    halves = jnp.asarray([[1.0, 0.0, 9.0], [0.2, 0.4, 9.0]])
    # The first half takes click 0, worth .2 by the second; the second takes 1, worth 0.
    np.testing.assert_allclose(best_click_gain(halves), 0.1, atol=1e-6)
    assert float(best_click_gain(halves)) < float(halves.mean(0)[:2].max())


@pytest.mark.statistical
def test_a_trial_by_hand() -> None:
    """0 -> 1 is true. A click on 0 and what it caused leave only whether 1 causes 0."""
    graph = np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]])
    story = (click(1.0, 0), effect(2.5, 1), click(10.0, 0), effect(11.5, 1))
    trial = Trial("ann", "1", "reliable", 3, story, graph)
    (found,) = value_trials([trial], 0)
    assert found.counted.tolist() == [True, False, True, False]
    two = 0.1**2 / (1 + 0.1**2)

    def spread(p: float) -> float:
        return -p * math.log(p) - (1 - p) * math.log(1 - p)

    # Parents of 0: 1 (twice on, nothing came) and 2 (never on). Of 1: 0 surely, 2 unknown. Of 2: 0
    # and 1 were on at different times, twice each without an effect.
    left = spread(two) + math.log(2) + math.log(2) + 2 * spread(two)
    np.testing.assert_allclose(found.learnt[0], 6 * math.log(2) - left, atol=5e-3)
    assert found.learnt.shape == (3,)
    assert (found.learnt > 0).all()
    assert (found.learnt <= 6 * math.log(2)).all()


def test_events_that_are_too_many_or_unreferenced_are_left_out() -> None:
    graph = np.zeros((3, 3), int)
    trial = Trial("ann", "1", "reliable", 3, (click(1.0, 0),), graph)
    assert compare_entropies([trial]) == []
    assert (
        compare_entropies([trial._replace(reference=((0.0, 6.0),), records=trial.records * 30)])
        == []
    )
    (found,) = compare_entropies([trial._replace(reference=((0.0, 6.0), (45.0, 6.0)))])
    assert found.apart == pytest.approx(0, abs=1e-5)
    (wrong,) = compare_entropies([trial._replace(reference=((0.0, 6.0), (45.0, 5.9)))])
    assert wrong.apart == pytest.approx(0.1, abs=1e-5)
    busy = (*(click(1 + 0.1 * i, 0) for i in range(6)), effect(3.0, 1))
    assert (
        compare_entropies([trial._replace(reference=((45.0, 1.0),), records=busy)])[0].apart is None
    )


def agreeing(data, nodes: int) -> None:
    """Every reliable trial of at most 20 events lies within .01 bit of the supplied entropies."""
    trials = read_clicks(str(data / "human_causal_time")).trials
    found = compare_entropies([t for t in trials if t.delays == "reliable" and t.nodes == nodes])
    assert len(found) > 30
    assert all(one.apart is not None and one.apart < 0.01 for one in found)


def test_published_entropies_of_three_components(data) -> None:
    agreeing(data, 3)


@pytest.mark.statistical
def test_published_entropies_of_four_components(data) -> None:
    agreeing(data, 4)
