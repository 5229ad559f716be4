"""Native events in CSV, Parquet and npz: what is read of others' files, and refusals."""

import io
import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from columnar import converted, event, log
from hypothesis import given, settings
from hypothesis import strategies as st
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.registry import open_log, write_log


def test_csv_is_what_a_person_would_write(tmp_path):
    path = log(
        tmp_path,
        {"id": 1, "t": 2, "x": [0.5, 1], "action": "left", "propensity": 0.5, "y": 1},
        {"id": 2, "x": [3], "action": "7", "y": 0, "weight": 3},
    )
    assert converted(path, "csv")[0].read_text() == (
        "id,t,x.0,x.1,action,propensity,y,r,weight\n"
        "1,2.0,0.5,1.0,left,0.5,1.0,,\n"
        '2,,3.0,,"""7""",,0.0,,3.0\n'
    )


def test_parquet_of_others_is_read(tmp_path):
    path = tmp_path / "log.parquet"
    columns = {
        "id": ["a", "b"], "action": pa.array([1, 0], pa.int32()), "y": [True, False],
        "t": pa.array([1500, 2500], pa.timestamp("ms")), "x": [[1, 2], [3, 4]],
    }  # fmt: skip
    pq.write_table(pa.table(columns), path)
    first, second = open_log(str(path)).records
    assert (first.id, first.action, first.y, first.t, first.x) == ("a", 1, 1.0, 1.5, [1.0, 2.0])
    assert (second.t, second.where.line) == (2.5, 2)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"id": [1], "actoin": [0], "y": [1.0]}, 'no field called "actoin"; did you mean "action"'),
        ({"id": [1], "\ny": [0.0]}, 'no field called "\\ny"; did you mean "y"'),
        ({"id": [1, 2], "action": [0, 1], "y": [0.0, math.nan]}, ":2: y: nan is no number"),
        ({"id": [1, None], "action": [0, 1], "y": [0.0, 1.0]}, ":2: id: missing"),
        ({"id": [1], "action": [0.5], "y": [0.0]}, ":1: action: expected"),
        ({"id": [1], "action": [0], "y": [0.0], "propensity": [1.5]}, ":1: propensity"),
        ({"id": [1], "action": [0], "y": [0.0], "x": [[1.0, None]]}, ":1: x[1]: expected"),
        ({"id": [1], "action": [0], "y": [0.0], "actions": ["[1"]}, ":1: actions: '[1' is no list"),
    ],
)
def test_bad_parquet_names_row_and_field(tmp_path, columns, words):
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(UsageError) as caught:
        list(open_log(str(path)).records)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"id": [1], "actoin": [0]}, 'did you mean "action"'),
        ({"action": [0], "y": [1.0]}, "no id"),
        ({"id": [1, 2], "y": [1.0]}, "y: 1 rows, id has 2"),
        ({"id": [1], "x": [1.0]}, "x: its shape is (1,); it must be numbers [N, C]"),
        ({"id": [1], "action": [0], "y": [math.inf]}, ":1: y: inf is no number"),
        ({"id": [1], "action": [[1.0, math.nan, 2.0]], "y": [0.0]}, ":1: action[1]: expected"),
        ({"id": [1], "action": [0], "y": [0.0], "weight": [-1.0]}, ":1: weight: expected"),
    ],
)
def test_bad_npz_names_row_and_field(tmp_path, arrays, words):
    path = tmp_path / "log.npz"
    np.savez(path, **{name: np.array(values) for name, values in arrays.items()})
    with pytest.raises(UsageError) as caught:
        list(open_log(str(path)).records)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,action,yy\n1,0,1\n", "name its --format"),
        ("id,x.1,y\n1,0,1\n", "no column x.0, but x.1"),
        ("id,action,y\n,0,1\n", ":2: id: missing"),
        ("id,action,y\n1,0,one\n", ":2: y: 'one' is no number"),
        ('id,action,y\n1,"""a",1\n', ':2: action: "a is no text in quotes'),
        ("id,action,y,actions\n1,a,1,a\n", ":2: actions: 'a' is no list"),
        ("id,x.0,x.1,action,y\n1,,2,0,1\n", ":2: x.0: empty"),
        ("id,action,action.0,y\n1,0,1,1\n", ":2: action: given twice"),
        ("id,action,y,propensity\n1,0,1,2\n", ":2: propensity: expected float <= 1"),
        ("id,action,y\n1,0\n", ":2: 2 columns, the header has 3"),
    ],
)
def test_bad_csv_names_line_and_field(tmp_path, text, words):
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        list(open_log(str(path)).records)
    if "--format" in words:
        assert "--label" in str(caught.value)
    else:
        assert words in str(caught.value)


class Pipe(io.RawIOBase):
    """What can be written to the end of, and no more."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.taken += bytes(data)
        return len(data)


@pytest.mark.parametrize("form", ["csv", "parquet", "npz"])
def test_pipes_can_be_written_to(tmp_path, form):
    path, pipe = log(tmp_path, event(0, action="a")), Pipe()
    write_log(form, open_log(str(path)), pipe, Counter())
    whole = tmp_path / f"piped.{form}"
    whole.write_bytes(pipe.taken)
    straight = converted(path, "ndjson")[0].read_bytes()
    assert converted(whole, "ndjson")[0].read_bytes() == straight


@settings(max_examples=80, deadline=None)
@given(st.data(), st.sampled_from(["csv", "parquet", "npz"]))
def test_any_bytes_are_records_or_one_clear_line(tmp_path_factory, data, form):
    path = log(tmp_path_factory.mktemp("fuzz"), event(0, action="a"), event(1, action="b"))
    out, _ = converted(path, form)
    whole = bytearray(out.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + 1] = data.draw(st.binary(max_size=3))
    out.write_bytes(whole)
    message = ""
    try:
        list(open_log(str(out), form).records)
    except UsageError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
