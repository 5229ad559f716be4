"""dsjson: what each sort of line becomes, what is refused and in which words, real logs."""

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uncertain.posteriors.base import Arms, Vector
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.record import Candidate
from uncertain.streams.formats.registry import open_log

EVENT = {
    "_label_cost": -1.0, "_label_probability": 0.25, "_label_Action": 2, "_labelIndex": 1,
    "EventId": "e", "Timestamp": "1970-01-01T00:01:40.5Z", "a": [2, 1], "p": [0.25, 0.75],
    "c": {"User": {"name": "Tom", "age": 3}, "_multi": [{"_tag": "tea"}, {"_tag": "coffee"}]},
}  # fmt: skip


def line(**changes):
    """A line of one decision, keys set to None left out."""
    return {k: v for k, v in (EVENT | changes).items() if v is not None}


def log_of(tmp_path, *lines, form=None):
    path = tmp_path / "log.dsjson"
    texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
    path.write_text("".join(text + "\n" for text in texts))
    return open_log(str(path), form)


def test_the_same_actions_on_every_line_are_arms(tmp_path):
    other = line(
        c={"_multi": [{"_tag": "coffee"}, {"_tag": "tea"}], "User": {"name": "Ann", "_x": "no"}}
    )
    log = log_of(tmp_path, line(), other)
    assert log.actions == Arms(2, 3)
    assert log.names == ("tea", "coffee")
    first, second = log.records
    # User|age, User|name=Ann, User|name=Tom.
    assert (first.x, second.x) == ([3, 0, 1], [0, 1, 0])
    assert (first.id, first.t, first.where.line) == ("e", 100.5, 1)
    assert (first.action, first.propensity, first.y) == ("coffee", 0.25, 1.0)
    # Told by what the action is, not by where it stands.
    assert (second.action, second.actions) == ("tea", None)


def test_fewer_on_offer_are_listed(tmp_path):
    log = log_of(tmp_path, line(), line(c={"_multi": [{"_tag": "tea"}]}, _labelIndex=0,
                                        _label_Action=1))  # fmt: skip
    assert log.names == ("tea", "coffee")
    assert [record.actions for record in log.records] == [None, ["tea"]]


def articles(*words):
    actions = [{"w": {word: 1, "n": i}} for i, word in enumerate(words)]
    return {"User": {"age": 2}, "_multi": actions}


def test_actions_that_differ_are_vectors(tmp_path):
    lines = line(c=articles("a", "b")), line(c=articles("b", "c"))
    log = log_of(tmp_path, *lines)
    # User|age before w|a, w|b, w|c, w|n.
    assert log.actions == Vector(5)
    assert (log.names, log.most_candidates) == ((), 2)
    first, second = log.records
    assert (first.x, first.action) == ([2], 1)
    assert first.actions == [[1, 0, 0, 0], [0, 1, 0, 1]]
    assert second.actions == [[0, 1, 0, 0], [0, 0, 1, 1]]
    arms = log_of(tmp_path, *lines, form="dsjson:actions=arms")
    assert arms.actions == Arms(4, 1)
    # Both b have the same features, but another n.
    assert arms.names == ("0", "1", "2", "3")
    assert [record.action for record in arms.records] == ["1", "3"]
    tagged = [{"_tag": t, "w": {t: 1}} for t in "ab"], [{"_tag": t, "w": {t: 1}} for t in "bc"]
    named = list(log_of(tmp_path, *(line(c={"_multi": multi}) for multi in tagged)).records)
    assert [record.action for record in named] == ["b", "c"]
    assert named[0].actions == [Candidate("a", [1, 0, 0]), Candidate("b", [0, 1, 0])]


def test_one_number_is_a_vector_after_the_context(tmp_path):
    ca = {"_label_ca": {"action": 4.5, "cost": 2.0, "pdf_value": 3.5}, "c": {"room=hall": 1}}
    log = log_of(tmp_path, ca)
    assert log.actions == Vector(2)
    (record,) = log.records
    assert (record.x, record.action, record.y, record.propensity) == ([1], [4.5], -2.0, 3.5)


def test_every_sort_of_feature(tmp_path):
    context = (
        '{"b":true,"no":false,"null":null,"t":"a b","n":-2.5,"l":[3,{"q":"z"}],'
        '"deep":{"er":{"k":1}},"_text":"one two one","_hidden":{"k":1},"t":"again"}'
    )
    log = log_of(tmp_path, '{"_label_ca":{"action":1,"cost":0,"pdf_value":1},"c":' + context + "}")
    (example,) = log.examples
    assert example.shared == {
        "b": 1.0, "t=a b": 1.0, "t=again": 1.0, "n": -2.5, "l|[0]": 3.0, "l|q=z": 1.0,
        "er|k": 1.0, "one": 2.0, "two": 1.0,
    }  # fmt: skip


def test_columns_are_bounded_and_can_be_hashed(tmp_path):
    lines = [
        {"_label_ca": {"action": 1, "cost": 0, "pdf_value": 1}, "c": {"common": 2, f"rare{i}": 1}}
        for i in range(5)
    ]
    log = log_of(tmp_path, *lines, form="dsjson:columns=2")
    assert [record.x for record in log.records] == [[2, 1]] + [[2, 0]] * 4
    assert "6 context features, of which the 2 commonest" in log.notes[0]
    hashed = log_of(tmp_path, *lines, form="dsjson:hash=4")
    records = list(hashed.records)
    assert (hashed.notes, hashed.size) == ((), 5)
    assert {sum(record.x) for record in records} == {3.0}
    # The same name has the same column whatever came before it.
    (alone,) = log_of(tmp_path, lines[3], form="dsjson:hash=4").records
    assert alone.x == records[3].x


def test_what_is_seen_first_later_is_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("uncertain.streams.formats.vw.examples.LOOKAHEAD", 1)
    late = {"User": {"name": "Late"}, "_multi": EVENT["c"]["_multi"]}
    log = log_of(tmp_path, line(), line(c=late))
    assert [record.x for record in log.records] == [[3, 1], [0, 0]]
    other = log_of(tmp_path, line(), line(c={"_multi": [{"_tag": "milk"}, {"_tag": "tea"}]}))
    with pytest.raises(UsageError, match=r":2: action 1: none of the 2 .*actions=vectors"):
        list(other.records)


def test_costs_and_rewards(tmp_path):
    (record,) = log_of(tmp_path, line(_label_cost=0.5), form="dsjson:observe=cost").records
    assert (record.y, record.r) == (0.5, -0.5)
    (record,) = log_of(tmp_path, line(_label_cost=0.0)).records
    assert str(record.y) == "0.0"
    (record,) = log_of(tmp_path, line(pdrop=0.75)).records
    assert record.weight == 4.0


def test_what_is_no_event_is_counted(tmp_path):
    log = log_of(
        tmp_path, line(), "[checkpoint]", "", line(_skipLearn=True), line(_skipLearn=False),
        {"RewardValue": 1, "EventId": "e", "Observations": []}, {"c": EVENT["c"]},
    )  # fmt: skip
    assert len(list(log.records)) == 2
    assert log.left_out == {
        "lines that are no events": 1, "lines with _skipLearn": 1,
        "observations apart from their decision": 1, "requests without an action": 1,
    }  # fmt: skip


def test_the_label_may_stand_with_its_action(tmp_path):
    labelled = {"_tag": "b", "_label_Cost": 2, "_label_Probability": 1}
    (record,) = log_of(tmp_path, {"c": {"s": 1, "_multi": [{"_tag": "a"}, labelled]}}).records
    assert (record.action, record.y) == ("b", -2.0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ('{"c":', ["not JSON"]),
        ('{"c":{"x":NaN}}', ["not JSON", "NaN is no number"]),
        ('{"c":{"x":"\\ud800"}}', ["not JSON"]),
        ('{"x":1}', ["no context c", "is this line dsjson?"]),
        (line(_label_cost=None), ["_label_cost: missing"]),
        (line(_label_cost="low"), ["_label_cost: 'low' is no number"]),
        (line(_label_cots=1), ["_label_cots", 'did you mean "cost"?']),
        (line(_label_probability=0), ["_label_probability: 0 is no probability"]),
        (line(_label_probability=1.5), ["_label_probability: 1.5 is no probability"]),
        (line(_labelIndex=2, _label_Action=0), ["_labelIndex: 2 is none of 2"]),
        (line(_label_Action=1), ["_labelIndex: 1 (from 0) and _label_Action 1 (from 1) differ"]),
        (line(_labelIndex=None, _label_Action=0), ["_label_Action: 0, but"]),
        (line(_labelIndex=0.5), ["_labelIndex: 0.5 is no whole number"]),
        (line(Timestamp="noon"), ["Timestamp: 'noon' is no ISO time"]),
        (line(EventId=[1]), ["EventId: is no text"]),
        (line(pdrop=1), ["pdrop: 1 is no share below 1"]),
        (line(c=[1]), ["c: is no object"]),
        (line(c={"_multi": []}), ["_multi: is no list of actions"]),
        (line(c={"_multi": [1]}), ["_multi[0]: is no object"]),
        (line(c={"u": {"v": ["a"]}, "_multi": [{}, {}]}), ["u|v[0]: 'a' is no number"]),
        (line(c={"_slots": [{}], "_multi": [{}, {}]}), ["_slots: several decisions in one"]),
        ({"_outcomes": [], "c": {}}, ["_outcomes: several decisions in one"]),
        (line(c={"k": 10**400, "_multi": [{}, {}]}), ["k: too large for a number"]),
        ("{" * 100_000, ["not JSON"]),
    ],
)  # fmt: skip
def test_bad_lines_name_file_line_field_and_remedy(tmp_path, wrong, words):
    with pytest.raises(UsageError) as caught:
        list(log_of(tmp_path, line(), wrong).records)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'log.dsjson'}:2: ")
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("observe=rewards", "reward, cost"),
        ("actions=arm", "auto, arms, vectors"),
        ("columns=-1", "at least 0"),
        ("hash=x", "should be int"),
        ("column=3", 'did you mean "columns"'),
    ],
)
def test_wrong_options(tmp_path, option, words):
    with pytest.raises(UsageError, match=words):
        log_of(tmp_path, line(), form=f"dsjson:{option}")


def read_whole(data, name, form=None):
    path = data / "vw_cb" / name
    log = open_log(str(path), form)
    return log, list(log.records), sum(1 for _ in gzip.open(path))


def test_real_coffee(data):
    log, records, lines = read_whole(data, "dsjson_cb.json.gz")
    assert log.names == ("Cappucino", "Cold brew", "Iced mocha", "Latte")
    # Three times of day, three sorts of weather, four names.
    assert log.actions == Arms(4, 10)
    assert len(records) == lines == 23
    assert sum(record.y for record in records) == 12
    assert (records[0].action, records[0].propensity) == ("Latte", pytest.approx(0.05))
    assert len({record.id for record in records}) == 23
    assert all(sum(record.x) == 3 for record in records)


def test_real_articles_counted_from_0(data):
    log, records, lines = read_whole(data, "igl.dsjson.gz")
    assert log.actions == Arms(4, 4)
    assert log.names[0] == "Action|action=politics"
    assert len(records) == lines == 200
    assert sum(record.y for record in records) == 61


def test_real_lines_without_c(data):
    log, records, lines = read_whole(data, "cb_test256.json.gz")
    assert len(records) == lines == 260
    # s_=1 and s_=2, under the same key; then a, b, c of three values each and d of two.
    assert log.actions == Vector(2 + 11)
    assert [record.x for record in records[:2]] == [[1, 1], [0, 0]]
    assert [record.action for record in records[:2]] == [0, 1]
    assert [record.y for record in records[:2]] == [-1.0, 0.0]


def test_real_temperatures(data):
    log, records, lines = read_whole(data, "cats_room_temp.json.gz")
    assert log.actions == Vector(3)
    assert len(records) == lines == 100
    assert records[0].action == [0.0015021873405203223]
    assert records[0].y == -24.998497835225148


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
objects = st.dictionaries(st.sampled_from([*EVENT, "_multi", "_label", "_label_ca"]), values)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.binary(max_size=40) | objects.map(lambda o: json.dumps(EVENT | o).encode()),
                max_size=3))  # fmt: skip
def test_any_bytes_are_records_or_one_clear_line(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("fuzz") / "log.dsjson"
    path.write_bytes(b"\n".join(lines))
    message = ""
    try:
        list(open_log(str(path)).records)
    except UsageError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


def test_a_label_in_words_is_that_of_the_text_format(tmp_path):
    actions = [{"src": "tv"}, {"src": "web", "_label": "0:3:.25"}]
    (record,) = log_of(tmp_path, {"age": 15, "_multi": actions}).records
    assert (record.action, record.propensity, record.y) == ("src=web", 0.25, -3.0)
    with pytest.raises(UsageError, match="'0:3' is not action:cost:probability"):
        list(log_of(tmp_path, {"age": 1, "_multi": [{"a": 1, "_label": "0:3"}]}).records)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps(line(_labelIndex=None, _label_Action=0)), "0, but actions are counted from 1"),
        (json.dumps(line(_label_probability=None)), "_label_probability: missing, though p"),
        (json.dumps(line())[:-1] + ', "c": {}}', "c: given twice"),
        (json.dumps(line())[:-1] + ', "_label_cost": 2}', "_label_cost: given twice"),
    ],
)
def test_what_vowpal_wabbit_reads_otherwise_is_refused(tmp_path, text, words):
    with pytest.raises(UsageError, match=words):
        list(log_of(tmp_path, text).records)
