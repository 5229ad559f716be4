"""Logs in every format that is written: round trips, what is refused, memory, half files."""

import io
import json
import tracemalloc
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from columnar import converted, event, log
from hypothesis import given, settings
from hypothesis import strategies as st
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.files import open_output_atomically
from uncertain.streams.formats.ndjson import decode_line, encode_line, record_fields
from uncertain.streams.formats.record import Where
from uncertain.streams.formats.registry import choose_output_format, open_log, write_log

NATIVE = ("csv", "ndjson", "npz", "parquet")


def there_and_back(path: Path, name: str, form: str | None = None) -> bytes:
    """The log after another format, as NDJSON."""
    out, _ = converted(path, name)
    return converted(out, "ndjson", form)[0].read_bytes()


number = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(1e-9, 1e9)
# JSON has no half surrogate pairs, and npz no text that ends in a zero.
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1,
               max_size=4)  # fmt: skip
name = text | st.sampled_from(["1", "-1", "007", '"', '"a"', "[1]", " a ", "a,b", "a\r\nb", "\x85"])
whole = st.integers(0, 1 << 62)
vector = st.lists(number, min_size=1, max_size=3)


def absent(strategy):
    return st.none() | strategy


@st.composite
def logs(draw):
    """Lines of one log: ids and actions of one sort each, all else mixed and often absent."""
    ids, arms = draw(st.sampled_from([name, whole])), draw(st.sampled_from([name, whole]))
    actions = draw(st.sampled_from([arms, vector]))
    candidate = st.fixed_dictionaries(
        {}, optional={"id": name | whole, "x": vector, "cost": positive}
    )
    offers = draw(st.sampled_from([name, whole, vector, candidate, name | vector | candidate]))
    observations = draw(st.sampled_from([number, vector]))
    line = st.fixed_dictionaries(
        {
            "id": ids,
            "t": absent(number),
            "x": absent(st.lists(number, max_size=3)),
            "actions": absent(st.lists(offers, max_size=3)),
            "action": absent(actions),
            "propensity": absent(st.floats(1e-9, 1)),
            "y": absent(observations),
            "r": absent(number),
            "deadline": absent(positive),
            "weight": st.just(1.0) | st.floats(0, 1e9),
            "cost": absent(st.lists(positive, max_size=3)),
        }
    )
    return draw(st.lists(line, min_size=1, max_size=5))


@settings(max_examples=100, deadline=None)
@given(logs(), st.sampled_from(NATIVE))
def test_what_goes_through_a_native_format_comes_back(tmp_path_factory, lines, form):
    path = log(tmp_path_factory.mktemp("log"), *lines)
    straight, _ = converted(path, "ndjson")
    assert there_and_back(path, form) == straight.read_bytes()


MADE = {
    "named arms": [event(i, action="ab"[i % 2], actions=["a", "b"]) for i in range(4)],
    "numbered arms": [event(i, action=str(1 + i % 3)) for i in range(4)],
    "vectors": [
        event(i, actions=[[i, 1.0], [2.0, i], [0.0, 3.5]], action=i % 3) for i in range(13)
    ],
    "tagged vectors": [
        event(i, action="b", actions=[{"id": "a", "x": [i + 0.5]}, {"id": "b", "x": [7.0]}])
        for i in range(3)
    ],
    "points": [event(i, action=[float(i)], propensity=3.5) for i in range(3)],
    "no context": [event(i, x=[], action="ab"[i % 2], actions=["b", "a"]) for i in range(3)],
    "half context": [event(i, action="1", x=[0.0] * i) for i in range(3)],
    "times": [event(i, action="ab"[i % 2], t=1e9 + i / 8) for i in range(4)],
    "weights": [event(i, action="ab"[i % 2], weight=2.0**i) for i in range(4)],
}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("form", ["dsjson", "vw"])
def test_what_an_example_can_say_comes_back(tmp_path, made, form):
    lines = [dict(line) for line in MADE[made]]
    path = log(tmp_path, *lines)
    if form == "vw" and made == "weights":
        with pytest.raises(UsageError, match=r":2: weight: 2, .* no place"):
            converted(path, form)
        return
    got = [json.loads(line) for line in there_and_back(path, form).splitlines()]
    for line in lines:
        if made in ("named arms", "no context"):
            # All arms are listed on every line, which goes without saying.
            del line["actions"]
        if made == "half context":
            line["x"] = line["x"] + [0.0] * (2 - len(line["x"]))
        if form == "vw":
            line.pop("t", None)
        if not line["x"]:
            del line["x"]
        if line.get("weight") == 1:
            del line["weight"]
    expected = [json.loads(encode_line(line)) for line in lines]
    assert [{k: v for k, v in line.items() if v != []} for line in got] == expected


def test_examples_keep_the_names_of_their_features(tmp_path):
    line = {
        "_label_cost": -1.5, "_label_probability": 0.5, "_label_Action": 2, "_labelIndex": 1,
        "EventId": "e", "c": {"User": {"name": "Tom B", "age": 2}, "flag": True, "w": [1, 2],
                              "_multi": [{"_tag": "a", "i": {"k": 1}}, {"_tag": "b"}]},
    }  # fmt: skip
    path = tmp_path / "log.dsjson"
    path.write_text(json.dumps(line) + "\n" + json.dumps({"c": line["c"]}) + "\n")
    text, dropped = converted(path, "vw")
    assert text.read_text() == (
        "shared 'e | flag |User name=Tom_B age:2 |w [0] [1]:2\n'a |i k\n0:-1.5:0.5 'b |\n\n"
        "shared | flag |User name=Tom_B age:2 |w [0] [1]:2\n'a |i k\n'b |\n\n"
    )
    assert not dropped
    again, _ = converted(text, "dsjson")
    first, second = (json.loads(line) for line in again.read_text().splitlines())
    assert second == {"c": first["c"]}
    assert first == {
        "_label_cost": -1.5, "_label_probability": 0.5, "_label_Action": 2, "_labelIndex": 1,
        "EventId": "e", "a": [2, 1],
        "c": {"flag": 1.0, "User": {"name=Tom_B": 1.0, "age": 2.0}, "w": {"[0]": 1.0, "[1]": 2.0},
              "_multi": [{"_tag": "a", "i": {"k": 1.0}}, {"_tag": "b"}]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "form"),
    [
        ("vw_cb/rcv1_raw_cb_small.vw.gz", "vw"),
        ("vw_cb/dsjson_cb.json.gz", "dsjson"),
        ("vw_cb/igl.dsjson.gz", "dsjson"),
        ("vw_cb/cb_test256.json.gz", "dsjson"),
        ("vw_cb/cats_room_temp.json.gz", "dsjson"),
    ],
)
def test_real_examples_say_the_same_in_the_other_format(tmp_path, data, sample, form):
    path, other = str(data / sample), {"vw": "dsjson", "dsjson": "vw"}[form]
    for wide in (form, other):
        out = tmp_path / f"out.{wide}"
        with open(out, "wb") as file:
            write_log(wide, open_log(path), file, Counter())
        before, after = open_log(path), open_log(str(out))
        assert before.actions == after.actions
        # What differs is Cold_brew and Iced_mocha.
        names = tuple(name.replace(" ", "_") if wide == "vw" else name for name in before.names)
        assert names == after.names
        for one, two in zip(before.records, after.records, strict=True):
            assert (one.x, one.actions, one.y) == (two.x, two.actions, two.y)
            assert one.propensity == two.propensity
            if before.names:
                assert names[before.names.index(one.action)] == two.action
            else:
                assert one.action == two.action


def test_a_feature_that_is_called_like_a_namespace_is_kept(tmp_path):
    path = tmp_path / "log.vw"
    path.write_text("1:0:1 | x:2 |x y:3\n")
    out, _ = converted(path, "dsjson")
    (example,) = open_log(str(out)).examples or ()
    assert example.shared == {"x": 2.0, "x|y": 3.0}


REFUSED = {
    "requests alone": ("dsjson", [{"id": 1, "x": [1]}], "action: none in the first 1 lines"),
    "two outcomes": ("dsjson", [event(0, action="a", y=[1, 2])], "y: is a vector"),
    "other reward": ("vw", [event(0, action="a", r=7.0)], "r: 7 differs from y"),
    "costs": ("vw", [event(0, action="a", cost=[1.0])], "cost: candidates have none"),
    "own cost": (
        "dsjson",
        [event(0, action=0, actions=[{"x": [1], "cost": 2}, {"x": [2]}])],
        "actions[0].cost",
    ),
    "no propensity": ("dsjson", [event(0, action="a", propensity=None)], "propensity: missing"),
    "no probability": ("vw", [event(0, action="a", propensity=None)], "propensity: missing"),
    "no candidates": ("vw", [event(0, action=[1.0, 2.0])], "actions: missing"),
    "no candidate": ("vw", [event(0, action=[1.0], actions=[[2.0]])], "[1.0] is none of actions"),
    "not on offer": ("vw", [event(0, action="a", actions=["b"])], "action: is none of actions"),
    "blank id": ("vw", [event(0, id="a b", action="a")], "id: 'a b' is no tag"),
    "light": ("dsjson", [event(0, action="a", weight=0.5)], "weight: 0.5 is below 1"),
    "no date": ("dsjson", [event(0, action="a", t=1e30)], "t: 1e+30 seconds"),
    "late column": ("csv", [event(0), event(1, x=[1] * 4)], "x: the first 1 lines give it no"),
    "late deadline": ("csv", [event(0), event(1, deadline=1)], "deadline: the first 1 lines"),
    "late sort": ("parquet", [event(0), event(1, id=1)], "id: is a number, in the first 1 lines"),
    "late action": ("parquet", [event(0, action=1), event(1, action="b")], "action: is a text"),
    "late offer": (
        "parquet",
        [event(0, actions=[1]), event(1, actions=[1, "b"])],
        "actions[1]: is a text",
    ),
    "late vector": ("parquet", [event(0), event(1, y=[1.0])], "y: is a vector, in the first"),
    "huge": ("parquet", [event(0, id=1 << 70)], "id: 1180591620717411303424 is too large"),
    "nothing": ("npz", [event(0, id="")], "id: '' stands for nothing"),
    "no arm": ("npz", [event(0, action=-1)], "action: -1 stands for nothing"),
    "two sorts": ("npz", [event(0), event(1, id=1)], "id: is a number"),
}


@pytest.mark.parametrize(("form", "lines", "words"), REFUSED.values(), ids=REFUSED)
def test_what_a_format_cannot_say_is_refused(tmp_path, monkeypatch, form, lines, words):
    for module in ("tables.csv", "tables.parquet"):
        monkeypatch.setattr(f"uncertain.streams.formats.{module}.LOOKAHEAD", 1)
    with pytest.raises(UsageError) as caught:
        converted(log(tmp_path, *lines), form)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'log.ndjson'}:{len(lines)}: ")
    assert words in message
    assert ";" in message


def test_only_complete_events_become_examples(tmp_path):
    asked = {"id": "q", "x": [1.0]}
    late = [{"id": "d", "action": "a", "propensity": 0.5, "x": [2.0]}, {"id": "d", "y": 3.0}]
    path = log(tmp_path, asked, *late, event(1, action="b", deadline=0.1))
    source = open_log(str(path))
    out, dropped = io.BytesIO(), Counter[str]()
    write_log("dsjson", source, out, dropped)
    costs = [json.loads(line)["_label_cost"] for line in out.getvalue().splitlines()]
    assert costs == [-3.0, -1.5]
    assert dropped == {"deadlines, left out": 1}
    assert source.left_out == {"requests without an action": 1}
    # Native formats keep all four as they are.
    assert there_and_back(path, "csv") == converted(path, "ndjson")[0].read_bytes()


@pytest.mark.parametrize("form", ["csv", "parquet", "vw"])
def test_memory_stays_flat(tmp_path, monkeypatch, form):
    """Ten times the lines, hardly more memory; npz, which holds all, is the control."""
    for module in ("tables.csv", "tables.parquet", "log", "vw.examples", "vw.vw_text"):
        monkeypatch.setattr(f"uncertain.streams.formats.{module}.LOOKAHEAD", 200)
    monkeypatch.setattr("uncertain.streams.formats.tables.parquet.GROUP", 200)
    monkeypatch.setattr("uncertain.streams.formats.tables.parquet.BATCH", 200)

    def peak(name: str, count: int) -> int:
        path = log(tmp_path, *(event(i, action=f"{i % 3}") for i in range(count)))
        tracemalloc.start()
        out, _ = converted(path, name)
        if name != "npz":
            for _record in open_log(str(out)).written:
                pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(form, 400)
    assert peak(form, 4000) < 1.5 * peak(form, 400)
    if form == "csv":
        assert peak("npz", 4000) > 3 * peak("npz", 400)


def test_parquet_is_written_and_read_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("uncertain.streams.formats.tables.parquet.GROUP", 10)
    path = log(tmp_path, *(event(i, action="a") for i in range(25)))
    out, _ = converted(path, "parquet")
    assert pq.ParquetFile(out).num_row_groups == 3
    assert len(list(open_log(str(out)).records)) == 25


def test_no_half_file_stands_under_the_name(tmp_path):
    path = tmp_path / "out.ndjson.gz"
    path.write_text("precious")

    def interrupted() -> None:
        with open_output_atomically(str(path)) as file:
            file.write(b"half")
            raise UsageError("wrong")

    with pytest.raises(UsageError, match="wrong"):
        interrupted()
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]
    with open_output_atomically(str(path)) as file:
        file.write(encode_line({"id": 1, "action": 0, "y": 1}))
        assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]
    assert len(list(open_log(str(path)).records)) == 1
    absent = open_output_atomically(str(tmp_path / "absent" / "out.csv"))
    with pytest.raises(UsageError, match=r"absent/out\.csv: cannot be written"), absent:
        pass


def test_the_format_is_told_by_the_name():
    assert [choose_output_format(f"a.{n}", None) for n in ("csv.gz", "PQ", "jsonl", "vw")] == [
        "csv", "parquet", "ndjson", "vw"
    ]  # fmt: skip
    assert (choose_output_format("-", None), choose_output_format("a.json", "dsjson")) == (
        "ndjson",
        "dsjson",
    )
    with pytest.raises(UsageError, match="name it with --to"):
        choose_output_format("a.json", None)
    with pytest.raises(UsageError, match='did you mean "parquet"'):
        choose_output_format("a", "parket")


def test_fields_are_those_of_the_line():
    here = Where("log", 1)
    line = (
        b'{"id":"a","t":1.5,"x":[1.0],"actions":["a",{"id":"b","cost":2.0}],"action":"a",'
        b'"weight":2.0}\n'
    )
    assert encode_line(record_fields(decode_line(line, here))) == line
    assert record_fields(decode_line(b'{"id":1,"x":[],"weight":1}', here)) == {"id": 1}
