"""Bounds on the house: sizes, docstrings, imports inside functions, names, links between files.

See also: house_rules.py for the measures, test_architecture.py for the import rules.
"""

import ast
from collections import Counter
from pathlib import Path

import house_rules as house
import pytest

TREES = house.sources()
LONGEST = 300
"""Lines of a file."""
WIDEST = 20
"""Files of one kind in a folder."""
INNER = 200
"""Imports inside functions, in all."""
DESCRIBED = 0.9
"""Share of public functions that describe each of their arguments."""
MANY = {
    "State": "each method has a state of its own",
    "build": "each method and model has a builder of that name",
    "init": "a function of the contract",
    "search": "options of a method that `tune` may try",
}
"""Names that more than two modules may define, each with its reason."""


def test_no_file_is_long() -> None:
    lines = {path: len((house.ROOT / path).read_text().splitlines()) for path in TREES}
    assert {path: n for path, n in lines.items() if n > LONGEST} == {}


def test_no_folder_is_crowded() -> None:
    tests = house.sources(("tests",))
    counts = Counter(str(Path(path).parent) for path in (*TREES, *tests))
    counts.update(f"tests of {Path(p).parent}" for p in tests if Path(p).name[:5] == "test_")
    counts = Counter({k: n for k, n in counts.items() if k != "tests"})
    assert {folder: n for folder, n in counts.items() if n > WIDEST} == {}


def test_docstrings_use_plain_words() -> None:
    rates = house.words_a_thousand(TREES)
    assert rates.pop("what") <= 2
    assert set(rates.values()) == {0}


def test_public_functions_describe_their_arguments() -> None:
    functions = [f for t in TREES.values() for f in house.public_functions(t)]
    functions = [f for f in functions if house.arguments(f)]
    whole = sum(not house.undescribed(f) for f in functions)
    assert whole >= DESCRIBED * len(functions)


def test_few_imports_are_inside_functions() -> None:
    assert sum(len(list(house.inner_imports(tree))) for tree in TREES.values()) <= INNER


def test_one_name_stands_for_one_thing() -> None:
    assert house.defined_twice(TREES).keys() <= MANY.keys()


def test_every_file_named_exists() -> None:
    assert house.see_also({**TREES, **house.sources(("tests", "benchmarks"))}) == []


def test_measures_find_faults(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    text = '"""Say what nobody told.\n\nSee also: absent.py for more.\n"""\n'
    text += 'def f(a, b):\n    """Do.\n\n    a: one.\n    """\n    import os\n'
    for name in "xyz":
        (tmp_path / "room" / f"{name}.py").write_text(text)
    trees = house.sources(("room",), tmp_path)
    (function,) = house.public_functions(trees["room/x.py"])
    assert house.arguments(function) == ["a", "b"]
    assert house.undescribed(function) == ["b"]
    assert house.words_a_thousand(trees)["nobody"] > 0
    assert len(list(house.inner_imports(trees["room/x.py"]))) == 1
    assert house.defined_twice(trees) == {"f": ["room/x.py", "room/y.py", "room/z.py"]}
    assert len(house.see_also(trees, tmp_path)) == 3
    (tmp_path / "room" / "absent.py").write_text("")
    assert house.see_also(trees, tmp_path) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("a, b: two.", []),
        ("a: one.\n*b: two.", []),
        ("Takes a: and b.", ["a", "b"]),
        ("", ["a", "b"]),
    ],
)
def test_arguments_described_on_lines_of_their_own(text: str, missing: list[str]) -> None:
    tree = ast.parse(f'def f(self, a, *b):\n    """{text}"""\n')
    (function,) = house.public_functions(tree)
    assert house.undescribed(function) == missing
