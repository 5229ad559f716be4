"""`convert` and `validate` as commands: files, standard streams, exit codes, what people read."""

import gzip
import re

import pytest
from console import call, lines

ANSI = re.compile(r"\x1b\[[0-9;]*m")
EVENTS = [
    {"id": f"e{i}", "x": [0.5 * i, 1.0], "action": "ab"[i % 2], "propensity": 0.5, "y": i % 3}
    for i in range(6)
]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.ndjson"
    path.write_text(lines(*EVENTS))
    return path


def test_a_log_goes_round_through_every_format(log, tmp_path):
    straight = call("convert", log, "-").out
    assert len(straight.splitlines()) == 6
    previous = log
    for name in ("csv", "parquet", "npz", "dsjson.gz", "vw", "ndjson.gz"):
        target = tmp_path / f"out.{name}"
        result = call("convert", previous, target)
        assert result.status == 0, result.err
        previous = target
    assert gzip.decompress(previous.read_bytes()).decode() == straight


def test_standard_streams(log):
    text = call("convert", "-", "-", "--to", "csv", stdin=log.read_bytes())
    again = call("convert", "-", "-", "--from", "csv", stdin=text.out)
    assert again.out == call("convert", log, "-").out
    packed = gzip.compress(log.read_bytes())
    assert call("convert", "-", "-", stdin=packed).out == again.out


def test_parquet_and_npz_through_a_pipe(log, tmp_path):
    for name in ("parquet", "npz"):
        target = tmp_path / f"out.{name}.gz"
        assert call("convert", log, target).status == 0
        assert target.read_bytes()[:2] == b"\x1f\x8b"
        assert call("convert", "-", "-", stdin=target.read_bytes()).out == (
            call("convert", log, "-").out
        )


def test_what_cannot_be_said_leaves_what_was_there(log, tmp_path):
    log.write_text(log.read_text() + lines({**EVENTS[0], "id": "q", "r": 9}))
    target = tmp_path / "out.vw"
    target.write_text("precious")
    result = call("convert", log, target)
    assert result.status == 2
    assert result.errors == [
        f"uncertain: error: {log}:7: r: 9 differs from y, this format has one cost; convert to "
        "NDJSON, CSV or Parquet"
    ]
    assert target.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.ndjson", "out.vw"]


def test_what_is_left_out_is_counted(log, tmp_path):
    log.write_text(log.read_text() + lines({"id": "q", "x": [1, 2]}, {**EVENTS[0], "t": 1}))
    result = call("convert", log, tmp_path / "out.vw")
    assert result.status == 0
    assert result.errors == [
        f"uncertain: {log}: left out 1 requests without an action",
        f"uncertain: {tmp_path / 'out.vw'}: 1 times (t), left out",
    ]


def test_columns_are_told_where_the_target_does_not_say(tmp_path):
    path = tmp_path / "log.vw"
    path.write_text("1:0:0.5 |User name=Tom age:3\n2:1:0.5 |User name=Ann\n")
    result = call("convert", path, tmp_path / "out.csv")
    assert result.errors == [
        f"uncertain: {path}: columns are 0 User|age, 1 User|name=Ann, 2 User|name=Tom"
    ]
    assert call("convert", path, tmp_path / "out.dsjson").errors == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("absent", "out.csv"), "absent: cannot be read"),
        (("{log}", "out"), "name it with --to"),
        (("{log}", "out", "--to", "parkett"), 'did you mean "parquet"'),
        (("{log}", "-", "--from", "ndjsn"), 'did you mean "ndjson"'),
        (("{log}", "-", "--from", "vw:column=3"), 'did you mean "columns"'),
        (("{log}", "absent/out.csv"), "absent/out.csv: cannot be written"),
        (("{log}", "-", "--label", "y"), "--label is for plain CSV"),
    ],
)
def test_wrong_use_is_one_line(log, arguments, words):
    result = call("convert", *(text.replace("{log}", str(log)) for text in arguments))
    assert result.status == 2
    assert len(result.errors) == 1
    assert words in result.err


def test_a_fine_log(log):
    result = call("validate", log)
    (row,) = result.rows
    assert (result.status, result.err) == (0, "")
    assert (row["file"], row["format"], row["events"], row["wrong"]) == (str(log), "ndjson", 6, 0)
    assert (row["arms"], row["names"], row["context"]) == (2, ["a", "b"], 2)
    assert row["propensity"] == {"least": 0.5, "missing": 0}


def test_wrong_lines_are_said_once_each_up_to_the_limit(log, tmp_path):
    log.write_text(log.read_text() + "{\n" * 3 + lines({"id": 1, "action": "a", "y": 1}))
    fine = tmp_path / "fine.csv"
    call("convert", "-", fine, stdin=lines(*EVENTS))
    result = call("validate", fine, log, "--limit", "1")
    assert result.status == 1
    assert [row["wrong"] for row in result.rows] == [0, 4]
    assert result.rows[1]["reasons"] == {"not JSON": 3, "wrong value": 1}
    assert len(result.errors) == 2
    assert result.errors[0].startswith(f"uncertain: {log}:7: not JSON")
    assert result.errors[1] == f"uncertain: {log}: 3 more wrong lines; --limit shows more of them"


def test_a_table_on_a_terminal(log, monkeypatch):
    monkeypatch.chdir(log.parent)
    log.write_text(log.read_text() + lines({"id": "q", "x": [1, 2]}, EVENTS[0]) + "{\n")
    result = call("validate", log.name, terminal=True)
    assert result.status == 1
    shown = [" ".join(ANSI.sub("", line).split()) for line in result.out.splitlines()]
    assert shown == [
        "file format events arms context y p wrong",
        "log.ndjson ndjson 7 2 2 0 to 2 at least 0.5 1",
        "log.ndjson: 1 requests",
        "log.ndjson: 1 ids again, first in log.ndjson:8",
        "log.ndjson: 1 wrong: not JSON",
    ]


def test_files_that_cannot_be_read_are_wrong_and_the_next_is_read(log, tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and nothing")
    plain = tmp_path / "plain.csv"
    plain.write_text("a,b\n1,2\n")
    result = call("validate", broken, plain, log)
    assert result.status == 1
    assert [row["events"] for row in result.rows] == [0, 0, 6]
    assert [row["format"] for row in result.rows] == [None, None, "ndjson"]
    assert "broken.parquet: cannot be read" in result.errors[0]
    assert "--label COLUMN, one of a, b" in result.errors[1]


def test_a_model_is_held_against_it(log):
    assert call("validate", log, "--model", "linear").status == 0
    result = call("validate", log, "--model", "logistic")
    assert result.status == 1
    assert "y: 2 is no outcome of the model; it knows 0, 1" in result.err
    result = call("validate", log, "--model", "location")
    assert (result.status, len(result.errors)) == (1, 1)
    assert "its actions are arms, those of model location are vectors" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("absent",), "no such file"),
        (("{log}", "--format", "ndjsn"), 'did you mean "ndjson"'),
        (("{log}", "--format", "vw:colums=3"), 'did you mean "columns"'),
        (("{log}", "--model", "liner"), 'did you mean "linear"'),
        (("-", "-"), "read once only"),
        (("{log}", "--limit", "-1"), "--limit"),
    ],
)
def test_wrong_use_of_validate_is_one_line(log, arguments, words):
    result = call("validate", *(text.replace("{log}", str(log)) for text in arguments))
    assert result.status == 2
    assert len(result.errors) == 1
    assert words in result.err
    assert not result.out


def test_replay_takes_the_new_formats(data):
    path = data / "vw_cb" / "rcv1_raw_cb_small.vw.gz"
    result = call("replay", path, "--model", "linear:scale=0.1", "--latency", "0")
    assert result.status == 0
    assert result.errors[0].startswith(f"uncertain: {path}: 9519 context features")
    (row,) = result.rows
    assert (row["events"], row["model"]) == (1000, "linear:arms=2:features=255:scale=0.1")
    assert row["reward"]["mean"] == pytest.approx(-0.477)
    # Without any words it is .747.
    assert 0.5 < row["nll"]["mean"] < 0.7


def test_replay_judges_a_rule_on_listed_candidates(data):
    path = data / "vw_cb" / "cb_test256.json.gz"
    result = call("replay", path, "--rule", "thompson", "--latency", "0")
    assert result.status == 0
    (row,) = result.rows
    assert row["value"]["logged"]["value"] == pytest.approx(-0.5)
    # One sort of line has a free action, which is found at once: close to nothing is paid there.
    assert row["value"]["snips"]["value"] > -0.75
