"""CSV as spreadsheets and pandas write it: other delimiters, decimal commas, nameless columns."""

from pathlib import Path

import pytest
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.registry import open_log
from uncertain.streams.formats.tables.columns import read_columns

PLAIN = """id,t,x.0,action,propensity,y
1,0.0,0.5,left,0.25,1
2,0.5,-0.7,right,0.75,0
"""
SEMICOLONS = PLAIN.replace(",", ";")
TRAILING = PLAIN.replace("\n", ",\n")
INDEXED = "".join(f"{i or ''},{line}\n" for i, line in enumerate(PLAIN.splitlines()))


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "log.csv"
    path.write_text(text)
    return str(path)


def events(path: str, **options: str) -> list[tuple[object, ...]]:
    log = open_log(path, **options)
    return [(r.id, r.t, r.x, r.action, r.propensity, r.y) for r in log.records]


@pytest.mark.parametrize(
    "text",
    [
        SEMICOLONS,
        SEMICOLONS.replace(".", ",").replace("x,0", "x.0"),
        PLAIN.replace(",", "\t"),
        f"sep=,\n{PLAIN}",
        f"sep=;\n\n{SEMICOLONS}",
        '"sep=|"\n' + PLAIN.replace(",", "|"),
        TRAILING,
        TRAILING.replace(",", ";"),
        PLAIN.replace("id,t", '"id","t"').replace(",", ";"),
    ],
)
def test_the_same_log_however_it_is_written(tmp_path, text):
    assert events(written(tmp_path, text)) == [
        (1, 0.0, [0.5], "left", 0.25, 1.0),
        (2, 0.5, [-0.7], "right", 0.75, 0.0),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (INDEXED, ":1: column 1 has no name, and line 2 has '1' in it; name it or leave it out"),
        (TRAILING[:-1] + "late\n", ":1: column 7 has no name, and line 3 has 'late' in it"),
        (SEMICOLONS.replace("-0.7", "-0,7"), ":3: x.0: '-0,7' has a decimal comma, line 2 has a"),
        ("sep=;\n", "empty; a CSV log starts with a line of column names"),
        ("sep=;\n" + PLAIN, "needs --label COLUMN"),
    ],
)
def test_what_is_refused(tmp_path, text, words):
    with pytest.raises(UsageError) as caught:
        events(written(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_nameless_cell_late_in_a_log_is_a_wrong_line(tmp_path):
    lines = [f"{i},left,0.5,1,\n" for i in range(20_000)]
    lines[-2] = "19998,left,0.5,1,7\n"
    errors: list[str] = []
    path = written(tmp_path, "id,action,propensity,y,\n" + "".join(lines))
    log = open_log(path, on_error=lambda error: errors.append(str(error)))
    assert len(list(log.records)) == 19_999
    (error,) = errors
    assert ":20000: column 5 has no name and holds '7'" in error


def test_decimal_marks_are_of_one_kind_in_a_table(tmp_path):
    path = written(tmp_path, "size;class\n1,5;0\n2,25;1\n")
    assert [r.action for r in open_log(path, label="class").records] == [[1.5], [2.25]]
    assert read_columns(path).values["size"].tolist() == [1.5, 2.25]
    with pytest.raises(UsageError, match=r"1\.000.*a decimal point, line 2 has a decimal comma"):
        read_columns(written(tmp_path, "size;class\n1,5;0\n1.000;1\n"))


def test_a_comma_in_a_quoted_name_is_no_delimiter(tmp_path):
    path = written(tmp_path, '"a,b,c";class\n1,5;0\n2,5;1\n')
    assert list(read_columns(path).values) == ["a,b,c", "class"]


@pytest.mark.parametrize("text", ["a,class,\n1,0,\n2,1,\n", ",class,a\n,0,1\n,1,2\n"])
def test_nameless_columns_are_no_features(tmp_path, text):
    path = written(tmp_path, text)
    assert open_log(path, label="class").size == 1
    assert set(read_columns(path).values) == {"a", "class"}
    full = written(tmp_path, "a,class,\n1,0,\n2,1,x\n")
    for read in (lambda: open_log(full, label="class"), lambda: read_columns(full)):
        with pytest.raises(UsageError, match="column 3 has no name, and line 3 has 'x' in it"):
            read()
