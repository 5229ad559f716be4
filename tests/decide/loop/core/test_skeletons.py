"""Structures of results as JSON: what comes back, what is refused, and that nothing is run."""

import sys
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uncertain.decide.loop.core.skeletons import Unstorable, decode_skeleton, encode_skeleton


class Pair(NamedTuple):
    first: Any
    second: Any


def nested(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(parts, max_size=3),
        st.lists(parts, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), parts, max_size=3),
        st.tuples(parts, parts).map(lambda two: Pair(*two)),
    )


def kinds(part: Any) -> Any:
    """The types of all parts: a named tuple equals a plain one."""
    if isinstance(part, dict):
        return dict, {key: kinds(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return type(part), [kinds(value) for value in part]
    return type(part)


@given(st.recursive(st.none() | st.integers(0, 99), nested, max_leaves=12))
def test_what_is_encoded_comes_back(skeleton: Any) -> None:
    found = decode_skeleton(encode_skeleton(skeleton))
    assert found == skeleton
    assert kinds(found) == kinds(skeleton)


class Local:
    class Inner(NamedTuple):
        value: Any


def test_a_class_within_a_class() -> None:
    found = decode_skeleton(encode_skeleton(Local.Inner((0, None))))
    assert type(found) is Local.Inner


@pytest.mark.parametrize("part", [1.5, "text", {1: 0}, True, {0}, object()])
def test_other_kinds_are_refused(part: Any) -> None:
    with pytest.raises(Unstorable):
        encode_skeleton([part])


def test_a_class_that_cannot_be_found_is_refused() -> None:
    class Hidden(NamedTuple):
        value: Any

    with pytest.raises(Unstorable, match="Hidden"):
        encode_skeleton(Hidden(0))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'["tuple"]',
        b'["set", [0]]',
        b"1.5",
        b'["named", "os", "system", ["true"]]',
        b'["named", "builtins", "tuple", [0]]',
        b'["named", "subprocess", "Popen", [0]]',
        b'["named", "antigravity", "geohash", [0]]',
        b"[" * 100_000,
        b'["list", [' * 20_000,
    ],
)
def test_what_is_no_skeleton_is_refused(text: bytes) -> None:
    with pytest.raises(Unstorable):
        decode_skeleton(text)
    assert "antigravity" not in sys.modules


def test_a_named_tuple_of_another_length_is_refused() -> None:
    text = encode_skeleton(Pair(0, 1)).replace(b"[0,1]", b"[0,1,2]")
    with pytest.raises(Unstorable):
        decode_skeleton(text)
