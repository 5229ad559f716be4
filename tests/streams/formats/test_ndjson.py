"""Native NDJSON: what it reads, what it refuses and in which words, and that it writes it back."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uncertain.posteriors.base import Arms, Vector
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.ndjson import FIELDS, decode_line, encode_line, event_fields
from uncertain.streams.formats.record import DECISION, EVENT, OBSERVATION, REQUEST, Candidate, Where
from uncertain.streams.formats.registry import open_log

HERE = Where("log.ndjson", 7)


def test_kinds_are_told_apart():
    assert decode_line(b'{"id":1,"t":0,"x":[1]}', HERE).kind == REQUEST
    assert decode_line(b'{"id":1,"y":1}', HERE).kind == OBSERVATION
    assert decode_line(b'{"id":1,"action":2}', HERE).kind == DECISION
    assert decode_line(b'{"id":1,"action":2,"y":0}', HERE).kind == EVENT


def test_every_field_arrives():
    line = (
        b'{"id":"a","t":1.5,"x":[1,2],"actions":["l",{"id":"r","cost":2}],"action":"r",'
        b'"propensity":0.25,"y":true,"r":-1,"deadline":0.01,"weight":2,"cost":[1,2.5]}'
    )
    record = decode_line(line, HERE)
    assert record.id == "a"
    assert (record.t, record.x) == (1.5, [1.0, 2.0])
    assert record.actions == ["l", Candidate("r", None, 2.0)]
    assert (record.action, record.propensity, record.y, record.r) == ("r", 0.25, 1.0, -1.0)
    assert (record.deadline, record.weight, record.cost) == (0.01, 2.0, [1.0, 2.5])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"id":1,', ["not JSON"]),
        (b"[1]", ["expected object"]),
        (b'{"id":1,"propensty":0.5}', ['"propensty"', 'did you mean "propensity"']),
        (b'{"id":1,"a\\nb":0}', ["a\\nb"]),
        (b'{"t":1}', ["id", "missing"]),
        (b'{"id":1,"y":NaN}', ["y", "NaN"]),
        (b'{"id":1,"x":[1,-Infinity]}', ["x", "-Infinity"]),
        (b'{"id":1,"y":1e999}', ["y", "too large"]),
        (b'{"id":1,"y":"yes"}', ["y", "got str"]),
        (b'{"id":1,"x":[1,null]}', ["x[1]"]),
        (b'{"id":1,"propensity":0}', ["propensity", "> 0"]),
        (b'{"id":1,"action":0,"propensity":1.5}', ["propensity", "<= 1.0"]),
        (b'{"id":1,"action":[0],"actions":[[0]],"propensity":1.5}', ["propensity", "<= 1.0"]),
        (b'{"id":1,"weight":-1}', ["weight", ">= 0"]),
        (b'{"id":1,"cost":[1,0]}', ["cost[1]", "> 0"]),
        (b'{"id":1,"cost":2}', ["cost", "expected array"]),
        (b'{"id":1,"actions":[{"id":1,"cost":-1}]}', ["actions[0].cost", "> 0"]),
        (b'{"id":1,"actions":[{"idd":1}]}', ["actions[0]", 'did you mean "id"']),
        (b'{"id":"\xff"}', ["UTF-8"]),
    ],
)
def test_bad_lines_name_file_line_field_and_remedy(line, words):
    with pytest.raises(UsageError) as caught:
        decode_line(line, HERE)
    message = str(caught.value)
    assert message.startswith("log.ndjson:7: ")
    assert ";" in message
    assert "\n" not in message
    for word in words:
        assert word in message


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
lines = st.binary(max_size=80) | st.dictionaries(
    st.sampled_from(FIELDS) | st.text(max_size=5), anything
).map(lambda fields: json.dumps(fields).encode())


@settings(max_examples=300, deadline=None)
@given(st.lists(lines, max_size=4), st.sampled_from([b"", b"\x1f\x8b", b"\xef\xbb\xbf"]))
def test_any_bytes_are_records_or_one_clear_line(tmp_path_factory, content, prefix):
    path = tmp_path_factory.mktemp("fuzz") / "log.ndjson"
    path.write_bytes(prefix + b"\n".join(content))
    message = ""
    try:
        records = list(open_log(str(path)).records)
        assert all(math.isfinite(record.weight) for record in records)
    except UsageError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


def test_written_events_are_read_back(tmp_path):
    path = tmp_path / "log.jsonl"
    x, vector = np.array([0.5, -1]), np.float32(0.25)
    path.write_bytes(
        encode_line(event_fields(0, 0.0, 1, 0.5, np.int32(1), x=x))
        + encode_line(event_fields("b", 1.0, 0, vector, 0.0, x=x, actions=[0, 1], r=2.0))
    )
    log = open_log(str(path))
    first, second = log.records
    assert log.actions == Arms(2, 2)
    assert (first.action, first.y, first.x) == (1, 1.0, [0.5, -1.0])
    assert (second.id, second.propensity, second.actions, second.r) == ("b", 0.25, [0, 1], 2.0)


def test_nothing_written_is_not_a_number():
    assert (
        encode_line({"y": float("nan"), "x": np.array([1.0, np.inf])})
        == b'{"y":null,"x":[1.0,null]}\n'
    )


def test_arms_and_vectors_are_inferred(tmp_path):
    path = tmp_path / "log.ndjson"
    path.write_bytes(b'{"id":0,"action":"red","actions":["blue","red"],"y":1,"x":[1]}\n')
    log = open_log(str(path))
    assert (log.names, log.actions, log.most_candidates) == (("blue", "red"), Arms(2, 1), 2)
    path.write_bytes(b'{"id":0,"action":[1,2],"x":[3],"y":1}\n')
    assert open_log(str(path)).actions == Vector(3)


def test_a_point_out_of_a_continuum_has_a_density():
    assert decode_line(b'{"id":1,"action":[0.5],"propensity":7,"y":0}', HERE).propensity == 7.0


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("-1", "count arms from 0"),
        ("10000000000", "give arms names"),
        ("null", "none in the first"),
    ],
)
def test_what_is_wrong_with_arms_is_said_to_whoever_needs_them(tmp_path, action, words):
    path = tmp_path / "log.ndjson"
    path.write_text(f'{{"id":0,"x":[1],"y":1,"action":{action}}}\n')
    log = open_log(str(path))
    assert len(list(log.written)) == 1
    with pytest.raises(UsageError, match=f":1: action: .*{words}"):
        _ = log.actions


def test_late_observations_find_their_decision(tmp_path):
    path = tmp_path / "log.ndjson"
    path.write_bytes(
        b'{"id":1,"t":0,"action":0,"x":[5]}\n'
        b'{"id":2,"t":1,"action":1,"x":[6]}\n'
        b'{"id":2,"t":2,"y":20}\n'
        b"\n"
        b'{"id":1,"t":3,"y":10,"r":4}\n'
        b'{"id":9,"y":1}\n'
        b'{"id":3,"x":[1]}\n'
        b'{"id":4,"action":1,"x":[1]}\n'
    )
    log = open_log(str(path))
    two, one = log.records
    assert (two.id, two.t, two.x, two.y) == (2, 2.0, [6.0], 20.0)
    assert (one.id, one.t, one.action, one.y, one.r, one.where.line) == (1, 3.0, 0, 10.0, 4.0, 5)
    assert sum(log.left_out.values()) == 3


def test_a_decision_that_is_withdrawn_is_no_event(tmp_path):
    lines = [
        b'{"id":1,"x":[1],"action":0,"propensity":0.5}',
        b'{"id":2,"x":[1],"action":1,"propensity":0.5,"y":null}',
        b'{"id":1,"y":null}',
        b'{"id":1,"y":3}',
        b'{"id":2,"y":4}',
        b'{"id":7,"y":null}',
    ]
    path = tmp_path / "log.ndjson"
    path.write_bytes(b"\n".join(lines))
    log = open_log(str(path))
    assert [(r.id, r.y) for r in log.records] == [(2, 4.0)]
    assert log.left_out == {
        "decisions withdrawn": 1,
        "observations of an id that is not waiting": 1,
        "withdrawals of an id not waiting": 1,
    }
