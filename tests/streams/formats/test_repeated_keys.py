"""A key that is given twice is refused wherever it stands; nothing else is."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uncertain.streams.formats.ndjson import decode_line
from uncertain.streams.formats.record import LineError, Where

HERE = Where("lines.ndjson", 3)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"id":1,"x":[1.0],"action":"a","action":"b","propensity":0.5,"y":1}', "action"),
        (b'{"id":1,"id":1}', "id"),
        (b'{ "id" : 1 , "t" : 2 , "t" : 3 }', "t"),
        (b'{"id":1,"weight":1,"weight":2,"action":0,"y":1}', "weight"),
        (b'{"id":1,"y":null,"y":2}', "y"),
        (b'{"id":"a:b","x":[1],"x":[2]}', "x"),
        (b'{"id":1,"actions":[{"id":"a"},{"id":"b","cost":1,"cost":2}]}', "actions[1].cost"),
    ],
)
def test_is_refused_by_name(line: bytes, key: str) -> None:
    with pytest.raises(LineError, match="given twice; keep one of them") as caught:
        decode_line(line, HERE)
    assert str(caught.value).startswith(f"lines.ndjson:3: {key}: ")


texts = st.text('ab:"\\ ', max_size=4)
numbers = st.floats(-9, 9)
lines = st.fixed_dictionaries(
    {"id": st.integers(0, 9) | texts},
    optional={
        "t": st.none() | numbers,
        "x": st.none() | st.lists(numbers, max_size=3),
        "actions": st.lists(
            texts
            | st.fixed_dictionaries({"id": texts}, optional={"x": st.lists(numbers, max_size=2)}),
            max_size=3,
        ),
        "action": st.integers(0, 2) | texts,
        "y": st.none() | st.booleans() | numbers | st.lists(numbers, max_size=2),
        "weight": st.sampled_from([0.0, 1.0, 2.0]),
    },
)


@settings(max_examples=150, deadline=None)
@given(lines, st.booleans())
def test_lines_without_one_pass_and_with_one_do_not(fields: dict, ascii_only: bool) -> None:
    text = json.dumps(fields, ensure_ascii=ascii_only)
    decode_line(text.encode(), HERE)
    name, value = list(fields.items())[-1]
    twice = f"{text[:-1]}, {json.dumps(name)}: {json.dumps(value)}}}"
    with pytest.raises(LineError, match="given twice"):
        decode_line(twice.encode(), HERE)
