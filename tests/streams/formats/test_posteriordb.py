"""Collections of posteriors: their layouts, and what is wrong with a damaged one."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.posteriordb import (
    find_posteriors,
    read_data,
    read_draws,
    read_moments,
    select_posteriors,
)


def packed(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(path.name.removesuffix(".zip"), json.dumps(value))


CHAINS = [
    {"b[1,1]": [1, 2], "b[1,2]": [3, 4], "s": [5, 6]},
    {k: [0] for k in ("b[1,1]", "b[1,2]", "s")},
]


def test_the_upstream_repository_and_a_folder_each_say_the_same(tmp_path: Path) -> None:
    db, here = tmp_path / "db", tmp_path / "here"
    (db / "posteriors").mkdir(parents=True)
    said = {"data_name": "d", "model_name": "m", "reference_posterior_name": "r"}
    (db / "posteriors" / "d-m.json").write_text(json.dumps(said))
    packed(db / "data" / "data" / "d.json.zip", {"N": 2, "y": [1.5, 2]})
    packed(db / "reference_posteriors" / "draws" / "draws" / "r.json.zip", CHAINS)
    (here / "d-m").mkdir(parents=True)
    (here / "d-m" / "data.json").write_text('{"N": 2, "y": [1.5, 2]}')
    packed(here / "d-m" / "reference_draws.json.zip", CHAINS)
    one, two = (find_posteriors(folder)["d-m"] for folder in (db, here))
    assert one.model == two.model == "m"
    assert read_data(one, "") == read_data(two, "")
    for source in (one, two):
        assert source.draws is not None
        draws = read_draws(source.draws)
        np.testing.assert_array_equal(draws["b"], [[[1, 3]], [[2, 4]], [[0, 0]]])
        np.testing.assert_array_equal(draws["s"], [5, 6, 0])


def test_moments_of_one_quantity_need_no_name(tmp_path: Path) -> None:
    parts = ("MEAN", "MEAN_STANDARD_ERROR", "STANDARD_DEVIATION")
    path = tmp_path / "t.ground_truth.json"
    path.write_text(json.dumps({f"IDENTITY_{p}": [1.0, 2.0] for p in parts}))
    np.testing.assert_array_equal(read_moments(path, ("w",)).sd["w"], [1.0, 2.0])
    with pytest.raises(UsageError, match="has no IDENTITY_A_MEAN"):
        read_moments(path, ("a", "b"))
    assert find_posteriors(tmp_path)["t"].truth == path
    assert len(read_data(find_posteriors(tmp_path)["t"], None)) == 0


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("a-b/data.json", "{", r"data\.json: cannot be read as JSON"),
        ("a-b/data.json", "[1]", "should be one JSON object"),
        ("a-b/data.json", '{"y": [[1], [1, 2]]}', '"y" is ragged'),
        ("a-b/data.json", '{"y": "no"}', '"y" should be numbers'),
        ("a-b/table", "x y\n1 2\n3", "table:3: 1 cells under 2 names"),
        ("a-b/table", "x\nno", "table:2: could not convert"),
    ],
)
def test_what_is_wrong_with_data_is_one_line(
    tmp_path: Path, file: str, text: str, message: str
) -> None:
    path = tmp_path / file
    path.parent.mkdir()
    (path.parent / "data.json").write_text("{}")
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_data(find_posteriors(tmp_path)["a-b"], "" if path.suffix else path.name)


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        ({"a": [1]}, "a list|JSON list"),
        ([{"a": [1, 2], "b": [1]}], "not all names have as many draws"),
        ([{"a[1]": [1], "a[3]": [1]}], "a.* has 2 elements of shape"),
        ([{"a": ["x"]}], "should be numbers"),
    ],
)
def test_what_is_wrong_with_draws_is_one_line(tmp_path: Path, draws: object, message: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(json.dumps(draws))
    with pytest.raises(UsageError, match=message):
        read_draws(path)


def test_an_empty_folder_and_an_unknown_target_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no posterior"):
        find_posteriors(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        find_posteriors(tmp_path / "none")
    (tmp_path / "a-b").mkdir()
    (tmp_path / "a-b" / "data.json").write_text("{}")
    with pytest.raises(UsageError, match='no target called "a-c"; did you mean "a-b"'):
        select_posteriors(find_posteriors(tmp_path), ("a-c",))
