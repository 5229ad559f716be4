"""Vowpal Wabbit's text: labels, namespaces, lines that belong together, refusals, a real log."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uncertain.posteriors.base import Arms, Vector
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.registry import open_log

ADF = """shared 'first|User age:2 name=Tom
0:-1.5:0.25 'tea|a hot:3
'milk |a cold

shared |User age:4
 'tea|a hot:3
7:2:0.5 'milk |a cold
"""


def log_of(tmp_path, text, form=None):
    path = tmp_path / "log.vw"
    path.write_text(text)
    return open_log(str(path), form)


def features(tmp_path, text):
    (example,) = log_of(tmp_path, f"1:0:1 |{text}\n").examples
    return example.shared


def test_numbered_arms(tmp_path):
    text = "3:1.5:0.25 'me |x a:2\n1:-1:0.5 |x b\n| a\n2:0:1 1 |x a\n"
    log = log_of(tmp_path, text)
    assert log.actions == Arms(3, 3)
    assert log.names == ("1", "2", "3")
    first, second, last = log.records
    # a, x|a, x|b.
    assert (first.x, second.x) == ([0, 2, 0], [0, 0, 1])
    assert (first.id, first.action, first.y, first.propensity) == ("me", "3", -1.5, 0.25)
    assert (second.id, second.y, second.actions) == (2, 1.0, None)
    assert (last.action, last.actions) == ("2", ["2", "1"])
    assert log.left_out == {"requests without an action": 1}
    assert log_of(tmp_path, text, "vw:arms=5").names == ("1", "2", "3", "4", "5")
    assert log_of(tmp_path, "left:1:0.5 | a\nright:1:0.5 | a\n").names == ("left", "right")


def test_features(tmp_path):
    assert features(tmp_path, " a b:2 a") == {"a": 2.0, "b": 2.0}
    assert features(tmp_path, "ns:3 a b:0.5|other c:-1e2") == {
        "ns|a": 3.0, "ns|b": 1.5, "other|c": -100.0,
    }  # fmt: skip
    assert features(tmp_path, "") == features(tmp_path, "ns ") == {}
    assert features(tmp_path, "n age:young :4 :5") == {
        "n|age=young": 1.0,
        "n|[0]": 4.0,
        "n|[1]": 5.0,
    }


def test_a_line_for_each_action(tmp_path):
    log = log_of(tmp_path, ADF)
    assert log.names == ("tea", "milk")
    first, second = log.records
    assert (first.id, first.action, first.y, first.propensity) == ("first", "tea", 1.5, 0.25)
    assert (first.x, second.x) == ([2, 1], [4, 0])
    # Its place counts, not the number in its label.
    assert (second.action, second.where.line, second.id) == ("milk", 5, 5)


def test_actions_that_differ_and_no_shared_line(tmp_path):
    log = log_of(tmp_path, "| a:0.5\n0:1:0.5 | b\n\n\n0:0:1 | c\n| a:2\n")
    assert log.actions == Vector(3)
    first, second = log.records
    assert (first.actions, first.action) == ([[0.5, 0, 0], [0, 1, 0]], 1)
    assert (second.actions, second.action) == ([[0, 0, 1], [2, 0, 0]], 0)


def test_continuous_actions(tmp_path):
    log = log_of(tmp_path, "ca 185.5:0.5:6e-5 | a\nca 7:1:2.5 |\nca |\n")
    assert log.actions == Vector(2)
    first, second = log.records
    assert (first.x, first.action, first.y, first.propensity) == ([1], [185.5], -0.5, 6e-5)
    assert (second.action, second.propensity) == ([7.0], 2.5)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1:0:1 | a\n2:0:1 | a\n", "one"),
        ("1:0:1 | a\n", "one"),
        ("| a\n| b\n", "one"),
        ("| a\n| b\n\n| a\n", "many"),
        ("1:0:1 | a\n| b\n", "many"),
        ("\n\nshared | s\n| a\n", "many"),
    ],
)
def test_lines_that_belong_together_are_found(tmp_path, text, kind):
    examples = list(log_of(tmp_path, text).examples)
    assert {example.actions is not None for example in examples} == {kind == "many"}


def test_which_lines_belong_together_can_be_said(tmp_path):
    assert len(list(log_of(tmp_path, "| a\n| b\n", "vw:lines=many").examples)) == 1
    with pytest.raises(UsageError, match=r":2: a second line with a label; .*lines=one"):
        list(log_of(tmp_path, "1:0:1 | a\n2:0:1 | a\n", "vw:lines=many").examples)
    with pytest.raises(UsageError, match="auto, one, many"):
        log_of(tmp_path, "| a\n", "vw:lines=two")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("1:0:0.5", "no |"),
        ("1:0:0.5| a", "'1:0:0.5' touches the |"),
        ("1:zero:0.5 | a", "cost: 'zero' is no number"),
        ("1:nan:0.5 | a", "cost: nan is not finite"),
        ("1:0:0 | a", "probability: 0 is no probability"),
        ("1:0:1.5 | a", "probability: 1.5 is no probability"),
        ("1:0:0.5:3 | a", "'1:0:0.5:3' is no action:cost:probability"),
        ("1:0:0.5 2:1 | a", "a second action with a cost"),
        ("1 | a", "'1' has no cost"),
        ("0.7 | a", "'0.7' has no cost"),
        ("shared | a", "shared features without actions"),
        ("shared graph 0,1,2 | a", "'graph' after shared"),
        ("ccb shared | a", "ccb: several decisions in one"),
        ("ca 1:2:0 | a", "density: 0 is not above 0"),
        ("ca 1 | a", "'1' is no action:cost:density"),
        ("1:0:1 |x a:", "x|a: no number after :"),
        ("1:0:1 |x a:1_0", "x|a: '1_0' is no number"),
        ("1:0:1 |x a:inf", "x|a: inf is not finite"),
        ("1:0:1 |x:y a", "x: 'y' is no number"),
        ("1:0:1 |x:1e200 a:1e200", "x|a: too large"),
    ],
)
def test_bad_lines_name_file_line_and_remedy(tmp_path, wrong, words):
    with pytest.raises(UsageError) as caught:
        list(log_of(tmp_path, f"1:0:1 | a\n2:0:1 | b\n{wrong}\n").records)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'log.vw'}:3: ")
    assert words in message
    assert ";" in message


@pytest.mark.parametrize(
    ("block", "line", "words"),
    [
        ("shared | s\nshared | s\n| a\n", 6, "a second shared line"),
        ("shared | s\n", 5, "shared features without actions"),
        ("0:1:1 | a\n1:1:1 | b\n", 6, "a second line with a label"),
        ("1:1:1 2 | a\n| b\n", 5, "a label of several actions"),
    ],
)
def test_bad_examples_name_the_line(tmp_path, block, line, words):
    with pytest.raises(UsageError, match=f":{line}: .*{words}"):
        log_of(tmp_path, f"shared | s\n| a\n0:0:1 | b\n\n{block}")


def test_a_real_log(data):
    log = open_log(str(data / "vw_cb" / "rcv1_raw_cb_small.vw.gz"))
    records = list(log.records)
    assert (log.format_name, log.names, log.context, len(records)) == ("vw", ("1", "2"), 255, 1000)
    assert -sum(record.y for record in records) / len(records) == pytest.approx(0.477)
    assert {record.propensity for record in records} == {0.5}
    assert sum(record.action == "1" for record in records) == 504
    assert "9519 context features" in log.notes[0]
    path = str(data / "vw_cb" / "rcv1_raw_cb_small.vw.gz")
    assert open_log(path, "vw:columns=20000").context == 9519
    assert open_log(path, "vw:hash=64").context == 64


@settings(max_examples=120, deadline=None)
@given(
    st.binary(max_size=60)
    | st.text("|:' ab1.-e\nshared\t", max_size=80).map(str.encode),
    st.sampled_from(["auto", "one", "many"]),
)  # fmt: skip
def test_any_bytes_are_records_or_one_clear_line(tmp_path_factory, text, lines):
    path = tmp_path_factory.mktemp("fuzz") / "log.vw"
    path.write_bytes(text)
    message = ""
    try:
        list(open_log(str(path), f"vw:lines={lines}").records)
    except UsageError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
