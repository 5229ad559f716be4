"""Reading a log to its end: what is counted, which lines are wrong, whatever the format."""

import gzip

import pytest
from columnar import converted, event, log
from uncertain.posteriors.parts.outcomes import outcome_kind
from uncertain.posteriors.registry import build_model
from uncertain.streams.formats.audit import Audit, build_log_encoder, build_record_check
from uncertain.streams.formats.encoding import Encoder
from uncertain.streams.formats.registry import open_log


def audited(path, form=None, label=None, limit=20, model=None):
    """What was found, and what was told."""
    told: list[str] = []
    audit = Audit(limit, told.append)
    opened = open_log(str(path), form, label, on_error=audit.count_error)
    encoder = build_log_encoder(opened)
    if model is not None:
        built = build_model(model)
        encoder = Encoder(built.actions, outcome_kind(built), opened.names, opened.most_candidates,
                          bool(built.latent))  # fmt: skip
    audit.read_log(opened, build_record_check(encoder, model is not None))
    report = audit.report()
    assert told == report["messages"]
    return report


def test_every_count(tmp_path):
    path = log(
        tmp_path,
        {"id": 1, "t": 5, "x": [1]},
        {"id": 1, "t": 6, "x": [1], "action": "a", "propensity": 0.5},
        {"id": 2, "t": 4, "x": [1], "action": "b"},
        {"id": 2, "t": 7, "y": -3},
        {"id": 9, "y": 4},
        {"id": 3, "x": [1], "action": "b", "propensity": 0.25, "y": 8},
        {"id": 3, "x": [1], "action": "a", "propensity": 0.75, "y": 2},
    )
    report = audited(path)
    assert report == {
        "events": 3, "kinds": {"request": 1, "decision": 2, "observation": 2, "event": 2},
        "duplicates": 1, "first_duplicate": f"{path}:7", "unanswered": 1, "unmatched": 1,
        "backwards": 1, "without_t": 3, "propensity": {"least": 0.25, "missing": 1},
        "y": {"least": -3.0, "most": 8.0}, "wrong": 0, "reasons": {}, "messages": [],
    }  # fmt: skip


def test_it_goes_on_after_wrong_lines_of_every_sort(tmp_path):
    path = tmp_path / "log.ndjson"
    path.write_text(
        '{"id":0,"x":[1,2],"action":"a","y":1}\n'
        '{"id":1,\n'
        '{"id":2,"x":[1,2],"action":"a","yy":1}\n'
        '{"id":3,"x":[1,2],"action":"b","y":NaN}\n'
        '{"id":4,"x":[1],"action":"b","y":1}\n'
        '{"id":5,"x":[1,2],"action":"b"}\n'
        '{"id":5,"x":[1,2],"action":"b"}\n'
        '{"id":6,"x":[1,1e39],"action":"b","y":0}\n'
        '{"id":7,"x":[1,2],"actions":["b"],"action":"a","y":0}\n'
    )
    report = audited(path)
    lines = [message.removeprefix(f"{path}:").partition(":")[0] for message in report["messages"]]
    # What the reader refuses comes first, for it reads ahead.
    assert sorted(lines) == ["2", "3", "4", "5", "7", "8", "9"]
    assert report["reasons"] == {
        "wrong value": 3, "not JSON": 1, "unknown field": 1, "not a number": 1, "too large": 1,
    }  # fmt: skip
    assert report["events"] == 4
    short = audited(path, limit=2)
    assert (len(short["messages"]), short["wrong"]) == (2, 7)


def test_arms_that_come_late_are_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr("uncertain.streams.formats.log.LOOKAHEAD", 2)
    report = audited(log(tmp_path, *(event(i, action=arm) for i, arm in enumerate("abc"))))
    assert len(report["messages"]) == 1
    assert ":3: action: no arm called 'c' among 2" in report["messages"][0]


@pytest.mark.parametrize("form", ["csv", "parquet", "npz"])
def test_native_columns(tmp_path, form):
    path, _ = converted(log(tmp_path, event(0, action="a"), event(1, action="b")), form)
    assert audited(path)["wrong"] == 0
    if form == "csv":
        path.write_text(path.read_text() + "e9,,,,,a,2.0,1,,\ne8\nx,,0,0,0,a,,1,,\n")
        messages = audited(path)["messages"]
        assert [message.partition(": ")[2] for message in messages] == [
            "propensity: expected float <= 1.0; correct the line",
            "1 columns, the header has 10; correct the line",
        ]


@pytest.mark.parametrize(
    ("name", "wrong", "label"),
    [
        ("table.csv", "a,y\n1,0\nred,1\n2\n\xff,1\n3,1\n", "y"),
        ("log.vw", "1:0:1 | a\n1 | a\n2:x:1 | b\n2:1:\xff1 | a\n2:1:0.5 | b\n", None),
        (
            "log.dsjson",
            '{"_label_ca":{"action":1,"cost":2},"c":{}}\n{"c"\n{"x":1}\n{"\xff":1}\n'
            '{"_label_ca":{"action":2,"cost":2},"c":{}}\n',
            None,
        ),
    ],
)
def test_other_formats(tmp_path, name, wrong, label):
    path = tmp_path / name
    path.write_bytes(wrong.encode("latin-1"))
    report = audited(path, label=label)
    assert report["events"] == 2
    assert report["wrong"] == 3
    assert report["reasons"]["not UTF-8"] == 1


def test_open_bandit_rows(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        ",timestamp,item_id,position,click,propensity_score,user-item_affinity_0\n"
        "0,2019-11-24 00:00:00+00:00,0,1,1,0.5,0\n"
        "1,noon,0,1,1,0.5,0\n"
        "2,2019-11-24 00:00:00,7,1,1,0.5,0\n"
        "3,2019-11-24 00:00:01,0,1,0,0.25,0\n"
    )
    report = audited(path)
    assert (report["events"], report["wrong"], report["backwards"]) == (2, 2, 0)
    assert report["propensity"]["least"] == 0.25


def test_whether_a_model_takes_it(tmp_path):
    events = [event(i, action=i % 2, y=float(i)) for i in range(4)]
    path = log(tmp_path, *events)
    assert audited(path, model="linear:arms=2:features=3")["wrong"] == 0
    outcomes = audited(path, model="logistic:arms=2:features=3")
    assert outcomes["messages"][0].startswith(f"{path}:3: y: 2 is no outcome of the model")
    wide = audited(path, model="linear:arms=2:features=2")
    assert wide["wrong"] == 4
    few = audited(path, model="linear:arms=1:features=3")
    assert few["wrong"] == 2
    moving = audited(path, model="drifting:arms=2:features=3")
    assert ":1: t: missing" in moving["messages"][0]


def test_what_was_read_before_a_file_breaks_off_counts(tmp_path, monkeypatch):
    monkeypatch.setattr("uncertain.streams.formats.log.LOOKAHEAD", 10)
    path = log(tmp_path, *(event(i, id=f"{i * i % 997}", action="a") for i in range(5000)))
    packed = tmp_path / "cut.ndjson.gz"
    packed.write_bytes(gzip.compress(path.read_bytes())[:-2000])
    report = audited(packed)
    assert report["reasons"] == {"unreadable": 1}
    assert "broken gzip" in report["messages"][0]
    assert 1000 < report["events"] < 5000


def test_the_real_samples_are_fine(data):
    for name in ("cats_room_temp", "cb_test256", "dsjson_cb"):
        assert audited(data / "vw_cb" / f"{name}.json.gz")["wrong"] == 0
    for name in ("igl.dsjson.gz", "rcv1_raw_cb_small.vw.gz"):
        assert audited(data / "vw_cb" / name)["wrong"] == 0
    table = data / "river_phishing" / "phishing.csv.gz"
    assert audited(table, label="is_phishing")["events"] == 1250
