"""Open Bandit logs and labelled tables, made up and real."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uncertain.posteriors.base import Arms, Vector
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.registry import open_log

HEADER = ",timestamp,item_id,position,click,propensity_score,user_feature_0,{a}_0,{a}_1\n"
ROW = "0,2019-11-24 00:00:{s:02d}+00:00,{item},{position},{click},{p},{user},0.5,0.0\n"


def bandit(tmp_path, affinity="user-item_affinity", **changes):
    fields = {"s": 0, "item": 1, "position": 3, "click": 0, "p": 0.5, "user": "aa"} | changes
    path = tmp_path / "log.csv"
    first = ROW.format(**(fields | {"user": "bb", "position": 1}))
    path.write_text(HEADER.format(a=affinity) + first + ROW.format(**fields))
    return str(path)


@pytest.mark.parametrize("affinity", ["user-item_affinity", "user_item_affinity"])
def test_one_hot_context_and_both_spellings(tmp_path, affinity):
    log = open_log(bandit(tmp_path, affinity, click=1, s=5))
    first, second = log.records
    assert log.actions == Arms(2, 4)
    assert log.column_names == (
        "position=1", "position=3", "user_feature_0=aa", "user_feature_0=bb"
    )  # fmt: skip
    assert first.x == [1, 0, 0, 1]
    assert second.x == [0, 1, 1, 0]
    assert (second.action, second.propensity, second.y, second.where.line) == (1, 0.5, 1.0, 3)


@pytest.mark.parametrize(
    ("context", "size"), [("nothing", 0), ("position", 2), ("user", 4), ("affinity", 6)]
)
def test_context_is_a_choice(tmp_path, context, size):
    log = open_log(bandit(tmp_path), f"openbandit:context={context}")
    assert log.context == size
    assert {len(record.x) for record in log.records} == {size}


@pytest.mark.parametrize(
    ("field", "value"),
    [("item", 2), ("item", "9" * 5000), ("click", "nan"), ("p", 0), ("p", "inf"), ("s", 99)],
)
def test_bad_cells_name_line_and_field(tmp_path, field, value):
    path = bandit(tmp_path, **{field: value})
    names = {"item": "item_id", "p": "propensity_score", "s": "timestamp"}
    with pytest.raises(UsageError, match=f":2: {names.get(field, field)}: "):
        list(open_log(path).records)


def test_a_time_without_a_zone_is_utc(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    path = Path(bandit(tmp_path))
    path.write_text(path.read_text().replace("+00:00", ""))
    assert next(open_log(str(path)).records).t == 1574553600
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("policy", ["random", "bts"])
@pytest.mark.parametrize(("campaign", "arms"), [("men", 34), ("women", 46)])
def test_real_logs(data, policy, campaign, arms):
    log = open_log(str(data / "obd_small" / policy / campaign / f"{campaign}.csv.gz"))
    records = list(log.records)
    assert len(records) == 10_000
    assert log.actions.count == arms
    if (policy, campaign) == ("random", "men"):
        assert records[0].propensity == pytest.approx(1 / 34, rel=1e-12)
        assert sum(record.y for record in records) == 46


def table(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return str(path)


def test_a_table_is_a_log_over_vectors(tmp_path):
    log = open_log(table(tmp_path, "a,b,label\n1,2,0\n3,4,1\n"), label="label")
    records = list(log.records)
    assert log.actions == Vector(2)
    assert [record.action for record in records] == [[1, 2], [3, 4]]
    assert [record.y for record in records] == [0, 1]


@pytest.mark.parametrize(
    ("text", "label", "words"),
    [
        ('"a\x85c",b\n1,2\n', None, r"--label COLUMN, one of a\x85c, b"),
        ("a,b\n1,2\n", None, "--label COLUMN, one of a, b"),
        ("a,label\n1,2\n", "lable", 'did you mean "label"'),
        ("a,b,y\n1,2,0\n1,3,1\n", "y", 'column "a" is always'),
        ("a,y\n1,0\nred,1\n", "y", ":3: a: 'red' is no number; or use --format table:drop=a"),
        ("a,y\n1,0\n2\n", "y", ":3: 1 columns, the header has 2"),
        ("a,y\n1,0\n,1\n", "y", ":3: a: empty"),
        ("a,a\n1,0\n", "a", "occurs twice"),
        ("y\n1\n", "y", "no feature columns"),
        ('"a\nb","a\nb",y\n1,2,3\n', "y", r'"a\nb" occurs twice'),
    ],
)
def test_bad_tables_are_one_clear_line(tmp_path, text, label, words):
    form = "table"
    with pytest.raises(UsageError) as caught:
        list(open_log(table(tmp_path, text), form, label).records)
    assert words in str(caught.value)


def test_real_table(data):
    log = open_log(str(data / "river_phishing" / "phishing.csv.gz"), label="is_phishing")
    records = list(log.records)
    assert (len(records), log.size) == (1250, 9)
    assert {record.y for record in records} == {0.0, 1.0}


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"a,y\n", HEADER.format(a="user-item_affinity").encode(), b""]),
    st.binary(max_size=60) | st.text('0123456789.,"\n-enaif_\x00', max_size=60).map(str.encode),
    st.sampled_from(["table:label=y:constant=keep", "openbandit"]),
)
def test_any_bytes_are_records_or_one_clear_line(tmp_path_factory, header, body, form):
    path = tmp_path_factory.mktemp("fuzz") / "log.csv"
    path.write_bytes(header + body)
    message = ""
    try:
        list(open_log(str(path), form).records)
    except UsageError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
