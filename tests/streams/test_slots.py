"""Places of arms: names known beforehand, names met later, and names of refused lines."""

import pytest
from uncertain.posteriors.base import Arms, UsageError
from uncertain.posteriors.outcomes import Scalar
from uncertain.streams.encode import Encoder
from uncertain.streams.record import Record, Where
from uncertain.streams.slots import Slots


def test_without_new_names_numbers_stand_for_the_rest():
    slots = Slots(3, ("red",))
    assert [slots.place(x) for x in ("red", "1", 2, "blue", True)] == [0, 1, 2, None, None]
    assert [slots.label(i) for i in range(3)] == ["red", 1, 2]
    assert slots.facts == []


def test_new_names_take_places_in_turn_and_keep_them():
    slots = Slots(3, ("red",), open=True)
    assert len(slots) == 1
    assert [slots.place(x) for x in ("blue", 17, "red", "blue", "green", True)] == [
        1, 2, 0, 1, None, None,
    ]  # fmt: skip
    assert [slots.label(i) for i in range(3)] == ["red", "blue", 17]
    assert slots.full


def test_a_number_and_its_name_are_one_arm():
    slots = Slots(4, ("1", "red"), open=True)
    assert [slots.place(x) for x in (1, "1", 7, "7", 7)] == [0, 0, 2, 2, 2]
    assert [slots.label(i) for i in range(3)] == ["1", "red", 7]
    slots.discard()
    assert slots.place("7") == 2


def test_a_refused_line_brings_no_names():
    slots = Slots(4, open=True)
    slots.place("kept")
    slots.settle()
    slots.place("refused")
    slots.discard()
    assert slots.names == ["kept"]
    assert slots.place("other") == 1
    slots.discard()
    # Negative control: what was settled is not taken back.
    slots.place("other")
    slots.settle()
    slots.discard()
    assert slots.names == ["kept", "other"]


def test_places_are_put_back():
    slots = Slots(4, ("red",), open=True)
    for name in ("blue", 7):
        slots.place(name)
    slots.settle()
    again = Slots(4, ("red",), open=True)
    again.put_back(slots.facts)
    assert again.names == slots.names
    assert again.place("green") == slots.place("green") == 3


def test_one_name_too_many_is_refused_with_a_remedy():
    encoder = Encoder(Arms(2), Scalar(True), open=True)
    line = Record(1, Where("log", 3), actions=["a", "b", "c"])
    with pytest.raises(UsageError, match=r"log:3: actions: no place for an arm called 'c'.*arms="):
        encoder.candidates(line)
