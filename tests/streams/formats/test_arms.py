"""Places of arms: names known beforehand, names met later, and names of refused lines."""

import pytest
from uncertain.posteriors.base import Arms
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.parts.outcomes import Scalar
from uncertain.streams.formats.arms import ArmSlots
from uncertain.streams.formats.encoding import Encoder
from uncertain.streams.formats.record import Record, Where


def test_without_new_names_numbers_stand_for_the_rest():
    slots = ArmSlots(3, ("red",))
    assert [slots.assign(x) for x in ("red", "1", 2, "blue", True)] == [0, 1, 2, None, None]
    assert [slots.name_of(i) for i in range(3)] == ["red", 1, 2]
    assert slots.assigned == []


def test_new_names_take_places_in_turn_and_keep_them():
    slots = ArmSlots(3, ("red",), open=True)
    assert len(slots) == 1
    assert [slots.assign(x) for x in ("blue", 17, "red", "blue", "green", True)] == [
        1, 2, 0, 1, None, None,
    ]  # fmt: skip
    assert [slots.name_of(i) for i in range(3)] == ["red", "blue", 17]
    assert slots.full


def test_a_number_and_its_name_are_one_arm():
    slots = ArmSlots(4, ("1", "red"), open=True)
    assert [slots.assign(x) for x in (1, "1", 7, "7", 7)] == [0, 0, 2, 2, 2]
    assert [slots.name_of(i) for i in range(3)] == ["1", "red", 7]
    slots.rollback()
    assert slots.assign("7") == 2


def test_a_refused_line_brings_no_names():
    slots = ArmSlots(4, open=True)
    slots.assign("kept")
    slots.commit()
    slots.assign("refused")
    slots.rollback()
    assert slots.names == ["kept"]
    assert slots.assign("other") == 1
    slots.rollback()
    # Negative control: what was settled is not taken back.
    slots.assign("other")
    slots.commit()
    slots.rollback()
    assert slots.names == ["kept", "other"]


def test_places_are_put_back():
    slots = ArmSlots(4, ("red",), open=True)
    for name in ("blue", 7):
        slots.assign(name)
    slots.commit()
    again = ArmSlots(4, ("red",), open=True)
    again.restore(slots.assigned)
    assert again.names == slots.names
    assert again.assign("green") == slots.assign("green") == 3


def test_one_name_too_many_is_refused_with_a_remedy():
    encoder = Encoder(Arms(2), Scalar(True), open=True)
    line = Record(1, Where("log", 3), actions=["a", "b", "c"])
    with pytest.raises(UsageError, match=r"log:3: actions: no place for an arm called 'c'.*arms="):
        encoder.candidates(line)
