"""Measures of the house: sizes, docstrings, imports inside functions, names defined twice.

`python tests/house_rules.py [FOLDER ...]` prints them with the places that break a rule.
See also: test_house.py for the bounds, test_architecture.py for the import rules.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ROOMS = ("uncertain", "posteriors", "streams", "decide", "cli")
DIALECT = ("whoever", "nobody", "told", "said")
IMPLICIT = {"self", "cls"}
Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


class Place(NamedTuple):
    """A line of a file, and what stands there."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def sources(folders: tuple[str, ...] = ROOMS, root: Path = ROOT) -> dict[str, ast.Module]:
    """Syntax trees by path, for every Python file under the folders or files named."""
    found: dict[str, ast.Module] = {}
    for folder in folders:
        start = root / folder
        for path in [start] if start.is_file() else sorted(start.rglob("*.py")):
            found[path.relative_to(root).as_posix()] = ast.parse(path.read_text())
    return found


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Docstrings of the module, its classes and functions, and the strings after attributes."""
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield text
        for body in (getattr(node, "body", ()), getattr(node, "orelse", ())):
            if not isinstance(body, list):
                continue
            for before, after in pairwise(body):
                if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
                    value = after.value
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        yield value.value


def words_a_thousand(trees: dict[str, ast.Module]) -> dict[str, float]:
    """How often "what" and the words of DIALECT come in a thousand words of docstrings."""
    counts: Counter[str] = Counter()
    for tree in trees.values():
        for text in docstrings(tree):
            counts.update(re.findall(r"[a-z]+", text.lower()))
    total = max(counts.total(), 1)
    return {word: 1000 * counts[word] / total for word in ("what", *DIALECT)}


def public_functions(tree: ast.Module) -> Iterator[Function]:
    """Functions of the module and methods of its classes whose names have no underscore first."""
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) and node.name[0] != "_" else [node]
        for one in inner:
            if isinstance(one, Function) and one.name[0] != "_":
                yield one


def arguments(function: Function) -> list[str]:
    """Names of the arguments that a docstring should describe."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    extra = [one for one in (given.vararg, given.kwarg) if one is not None]
    return [a.arg for a in (*named, *extra) if a.arg not in IMPLICIT and a.arg[0] != "_"]


def undescribed(function: Function) -> list[str]:
    """Arguments that no line of the docstring begins with, as in `seed, steps: whole numbers.`"""
    text = ast.get_docstring(function) or ""
    described: set[str] = set()
    for line in text.splitlines():
        if begins := re.match(r"\s*([*\w]+(?:\s*,\s*[*\w]+)*)\s*:", line):
            described |= {name.strip(" *") for name in begins[1].split(",")}
    return [name for name in arguments(function) if name not in described]


def inner_imports(tree: ast.Module) -> Iterator[ast.AST]:
    """Import statements inside functions, each once."""
    inside: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, Function):
            inside |= {n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)}
    yield from inside


def defined_twice(trees: dict[str, ast.Module], most: int = 2) -> dict[str, list[str]]:
    """Public classes and functions of one name in more than `most` modules: name -> paths."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef | Function) and node.name[0] != "_":
                found[node.name].append(path)
    return {name: paths for name, paths in sorted(found.items()) if len(paths) > most}


def see_also(trees: dict[str, ast.Module], root: Path = ROOT) -> list[Place]:
    """Files named after "See also:" in a docstring that do not exist, here or from the root."""
    found = []
    for path, tree in trees.items():
        for text in docstrings(tree):
            for part in re.findall(r"See also:(.*?)(?:\n\n|\Z)", text, re.DOTALL):
                for name in re.findall(r"[\w./-]+\.(?:py|md|toml)\b", part):
                    if not any((base / name).is_file() for base in ((root / path).parent, root)):
                        found.append(Place(path, 1, f"See also: {name}, which does not exist"))
    return found


def report(folders: tuple[str, ...]) -> None:
    """Print every measure of the folders, and the places to mend."""
    trees = sources(folders)
    for path, tree in trees.items():
        for function in public_functions(tree):
            if missing := undescribed(function):
                text = f"{function.name} does not describe {', '.join(missing)}"
                print(Place(path, function.lineno, text))
    functions = [f for tree in trees.values() for f in public_functions(tree) if arguments(f)]
    whole = sum(not undescribed(f) for f in functions)
    lines = {path: len((ROOT / path).read_text().splitlines()) for path in trees}
    print(*see_also(trees), sep="\n")
    print(f"{len(trees)} files, {sum(lines.values())} lines; over 300:", end=" ")
    print({path: n for path, n in lines.items() if n > 300})
    print(f"described: {whole} of {len(functions)} public functions with arguments")
    print(f"words a thousand: {words_a_thousand(trees)}")
    print(f"imports in functions: {sum(len(list(inner_imports(t))) for t in trees.values())}")
    print(f"defined in more than two modules: {defined_twice(trees)}")


if __name__ == "__main__":
    report(tuple(sys.argv[1:]) or ROOMS)
