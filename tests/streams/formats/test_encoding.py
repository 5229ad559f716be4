"""Records as arrays: candidates, names, dimensions, outcomes, and what is refused."""

import numpy as np
import pytest
from uncertain.posteriors.base import Arms, Vector
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.parts.outcomes import Finite, Scalar
from uncertain.streams.formats.encoding import Encoder
from uncertain.streams.formats.record import Candidate, Record, Where

HERE = Where("log", 3)
BINARY = Finite((0.0, 1.0))


def record(**fields):
    return Record(1, HERE, **fields)


def test_arms_by_name_and_index():
    encoder = Encoder(Arms(3, 1), BINARY, ("red", "green"))
    assert encoder.arm_slots.names == ["red", "green", "2"]
    assert encoder.action(record(action="green", x=[7.0])) == [1.0, 7.0]
    assert encoder.action(record(action=2, x=[7.0])) == [2.0, 7.0]
    assert encoder.action(record(action="2", x=[7.0])) == [2.0, 7.0]


def test_candidates_over_arms_stand_at_their_index():
    encoder = Encoder(Arms(3, 1), BINARY, ("red", "green", "blue"))
    logged = record(actions=[Candidate("blue", cost=2.0), "red"], action="blue", x=[7.0])
    offered = encoder.candidates(logged)
    np.testing.assert_array_equal(offered.features, [[0, 7], [1, 7], [2, 7]])
    assert offered.valid.tolist() == [True, False, True]
    assert offered.cost.tolist() == [1, 1, 2]
    assert encoder.chosen_index(logged) == 2
    assert encoder.candidates(record(x=[1.0])).valid.all()


def test_costs_follow_the_list_or_the_arms():
    encoder = Encoder(Arms(3), BINARY, ("red", "green", "blue"))
    assert encoder.candidates(record(cost=[1.0, 2.0, 3.0])).cost.tolist() == [1, 2, 3]
    listed = record(actions=["blue", "red"], cost=[2.0, 5.0])
    assert encoder.candidates(listed).cost.tolist() == [5, 1, 2]
    vectors = Encoder(Vector(1), BINARY, capacity=3)
    offered = vectors.candidates(record(actions=[[1.0], [2.0]], cost=[4.0, 0.5]))
    assert offered.cost.tolist() == [4, 0.5, 1]
    for space, fields, words in (
        (encoder, {"cost": [1.0]}, "cost: expected 3 numbers, got 1"),
        (encoder, {"actions": ["red"], "cost": [1.0, 2.0]}, "cost: expected 1 numbers, got 2"),
        (vectors, {"actions": [[1.0]], "cost": [1.0, 2.0]}, "cost: expected 1 numbers, got 2"),
        (encoder, {"actions": [Candidate("red", cost=2.0)], "cost": [1.0]}, "cost: given twice"),
    ):
        with pytest.raises(UsageError, match=words):
            space.candidates(record(**fields))


def test_candidates_over_vectors():
    encoder = Encoder(Vector(3), BINARY, capacity=3)
    logged = record(actions=[[1.0, 2.0], Candidate("b", [3.0, 4.0], 5.0)], action="b", x=[9.0])
    offered = encoder.candidates(logged)
    np.testing.assert_array_equal(offered.features, [[9, 1, 2], [9, 3, 4], [0, 0, 0]])
    assert offered.valid.tolist() == [True, True, False]
    assert offered.ids == [0, "b", None]
    assert encoder.chosen_index(logged) == 1
    assert encoder.action(logged) == [9.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("space", "fields", "words"),
    [
        (Arms(2), {"action": "gren"}, "action: no arm called 'gren'"),
        (Arms(2), {"action": 2}, "action: no arm called 2"),
        (Arms(2), {"action": [1.0]}, "arms=0"),
        (Arms(2, 2), {"action": 1, "x": [1.0]}, "x: expected 2 numbers, got 1"),
        (Vector(2), {"action": [1.0]}, "action: expected 2 numbers, got 1"),
        (Vector(2), {"action": "a", "actions": [Candidate("a")]}, "actions[0]: has no features"),
        (Vector(2), {"action": "a"}, "actions: missing"),
        (Vector(2), {"action": "ab", "actions": [Candidate("abc", [1.0, 2.0])]}, "is no candidate"),
    ],
)
def test_what_does_not_fit_is_named(space, fields, words):
    encoder = Encoder(space, BINARY, ("red", "green") if isinstance(space, Arms) else (), 2)
    with pytest.raises(UsageError, match=r"^log:3: ") as caught:
        encoder.action(record(**fields))
    assert words in str(caught.value)


def test_an_action_outside_the_offered_arms_is_refused():
    encoder = Encoder(Arms(3), BINARY, ("red", "green", "blue"))
    with pytest.raises(UsageError, match="'green' is no candidate"):
        encoder.chosen_index(record(action="green", actions=["red", "blue"]))
    with pytest.raises(UsageError, match="room for 1"):
        Encoder(Vector(1), BINARY, capacity=1).candidates(record(actions=[[1.0], [2.0]]))


def test_observations_must_be_outcomes():
    assert Encoder(Arms(2), BINARY).observation(record(y=1.0)) == 1.0
    with pytest.raises(UsageError, match=r"y: 0\.5 is no outcome of the model; it knows 0, 1"):
        Encoder(Arms(2), BINARY).observation(record(y=0.5))
    with pytest.raises(UsageError, match="y: is a vector"):
        Encoder(Arms(2), Scalar(True)).observation(record(y=[1.0]))


def test_times_start_at_zero_in_double_precision():
    encoder = Encoder(Arms(2), BINARY)
    assert encoder.time(record(t=1.7e9)) == 0.0
    assert encoder.time(record(t=1.7e9 + 0.001)) == pytest.approx(0.001, rel=1e-3)
    with pytest.raises(UsageError, match="t: missing"):
        Encoder(Arms(2), BINARY, times=True).time(record())
