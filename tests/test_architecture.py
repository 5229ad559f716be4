"""Import rules: one way between rooms and floors, no method from another, no circles.

See also: house_rules.py for sizes and prose, test_house.py for their bounds.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("posteriors", "streams", "decide", "cli")
"""Each may import those before it."""
FLOORS = (
    ("decide.training", "decide.rules", "decide.loop", "decide.judge"),
    ("decide.loop.core", "decide.loop.server", "decide.loop.durable"),
    (
        "decide.judge.records",
        "decide.judge.reference",
        "decide.judge.measures",
        "decide.judge.engine",
        "decide.judge.tuning",
    ),
    ("decide.judge.engine", "decide.judge.parity"),
    ("decide.judge.engine", "decide.judge.people"),
    ("cli.tables", "cli.report", "cli.live", "cli.jobs"),
    ("streams.storage", "streams.inputs"),
    ("streams.formats", "streams.inputs"),
    ("streams.formats", "streams.worlds"),
    ("streams.formats", "streams.people"),
    ("posteriors.spaces", "posteriors.parts", "posteriors.searches", "posteriors.methods"),
    ("posteriors.spaces", "posteriors.models"),
)
"""Folders, lowest first: a file may import its own floor and those before it."""
APART = (
    ("posteriors.models", "posteriors.methods"),
    ("posteriors.models", "posteriors.parts"),
    ("posteriors.models", "posteriors.searches"),
    ("posteriors.targets", "posteriors.methods"),
    ("decide.judge.parity", "decide.judge.people"),
)
"""Folders that do not import each other."""
HEAVY = {"jax", "numpy", "numpyro", "tensorstore", "optax", "blackjax", "scipy"}
LIGHT = ("posteriors/errors.py", "posteriors/specs.py", "posteriors/units.py", "cli/commands/")
"""Files that `uncertain --help` loads, besides those directly in cli/: no heavy library."""


def module_of(path: Path, root: Path) -> str:
    """Dotted name of a file, without the distribution's own name."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, root: Path, top_only: bool = False) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports, relative names resolved."""
    tree = ast.parse(path.read_text())
    package = path.relative_to(root).with_suffix("").parts
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level] if node.level else ()
            start = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                name = ".".join([*start, alias.name])
                yield node.lineno, name.removeprefix("uncertain.")


def within(name: str, folder: str) -> bool:
    """Whether a dotted name lies in a folder."""
    return name == folder or name.startswith(f"{folder}.")


def floor_of(name: str, floors: tuple[str, ...]) -> int | None:
    """Index of the floor that a dotted name lies on."""
    return next((i for i, floor in enumerate(floors) if within(name, floor)), None)


def forbidden(module: str, name: str) -> bool:
    """Whether a module may not import a name."""
    for floors in (ROOMS, *FLOORS):
        mine, theirs = floor_of(module, floors), floor_of(name, floors)
        if mine is not None and theirs is not None and theirs > mine:
            return True
    for one, other in APART:
        if any(within(module, a) and within(name, b) for a, b in ((one, other), (other, one))):
            return True
    # Only the registry knows every method and every model.
    for folder in ("posteriors.methods", "posteriors.models"):
        if within(name, folder) and within(module, "posteriors") and name != folder:
            same = ".".join(name.split(".")[:3]) == module
            in_models = folder.endswith("models") and within(module, folder)
            if module != "posteriors.registry" and not same and not in_models:
                return True
    return False


def broken(root: Path) -> list[str]:
    """Every import in the tree that breaks a rule, as `file:line imports name`."""
    faults = []
    for path in sorted(p for room in ROOMS for p in (root / room).rglob("*.py")):
        where, module = path.relative_to(root).as_posix(), module_of(path, root)
        faults += [
            f"{where}:{line} imports {name}"
            for line, name in imports(path, root)
            if forbidden(module, name)
        ]
        if where.startswith(LIGHT) or (where.startswith("cli/") and where.count("/") == 1):
            faults += [
                f"{where}:{line} imports {name} at the top"
                for line, name in imports(path, root, top_only=True)
                if name.split(".")[0] in HEAVY
            ]
    return faults


def circles(root: Path) -> list[list[str]]:
    """Groups of modules that import each other, inside functions and for types included."""
    paths = {module_of(p, root): p for room in ROOMS for p in (root / room).rglob("*.py")}
    edges: dict[str, set[str]] = {}
    for module, path in paths.items():
        names = (name for _, name in imports(path, root))
        exact = (name if name in paths else name.rpartition(".")[0] for name in names)
        edges[module] = {name for name in exact if name in paths and name != module}
    # What imports nothing that is left cannot be in a circle, nor can what nothing left imports.
    while True:
        imported = set().union(*edges.values()) if edges else set()
        ends = {m for m, to in edges.items() if not to & edges.keys() or m not in imported}
        if not ends:
            return [sorted(edges)] if edges else []
        edges = {m: to - ends for m, to in edges.items() if m not in ends}


def test_imports_keep_the_rules() -> None:
    assert not broken(ROOT)


def test_no_modules_import_each_other() -> None:
    assert not circles(ROOT)


def test_every_package_is_listed_for_the_wheel() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rooms = (*ROOMS, "uncertain")
    found = {p.parent for room in rooms for p in (ROOT / room).rglob("*.py")}
    there = {".".join(p.relative_to(ROOT).parts) for p in found}
    named = {name.removeprefix("uncertain.") for name in listed} - {"configs"}
    assert named == there


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("posteriors/base.py", "from ..streams import store"),
        ("posteriors/base.py", "def late():\n    from ..decide.rules import base"),
        ("posteriors/base.py", "from uncertain.cli import main"),
        ("posteriors/base.py", "from .methods import one"),
        ("posteriors/errors.py", "import jax"),
        ("posteriors/methods/one.py", "from .two import build"),
        ("posteriors/methods/one.py", "from uncertain.posteriors.methods.two import build"),
        ("posteriors/methods/one.py", "from ..models.mine import Mine"),
        ("posteriors/parts/part.py", "from ..methods.one import build"),
        ("posteriors/models/mine.py", "from ..methods.one import build"),
        ("streams/storage/store.py", "from ...decide.loop.core import run"),
        ("streams/formats/csv.py", "from ..inputs.file import Reading"),
        ("decide/rules/base.py", "from ..loop.core import run"),
        ("decide/rules/base.py", "from ..judge import gain"),
        ("decide/loop/core/step.py", "from ..server.deadline import DeadlineControl"),
        ("decide/loop/server/server.py", "from ..durable.durable import DurableServer"),
        ("decide/judge/measures/gain.py", "from ..engine.bench import bench"),
        ("decide/judge/parity/stein.py", "from ..people.clicks import clicks"),
        ("cli/main.py", "import jax.numpy as jnp"),
        ("cli/commands/run.py", "from numpy import array"),
        ("cli/tables/exports.py", "from ..jobs.bench import bench"),
    ],
)
def test_a_broken_rule_is_found(tmp_path: Path, file: str, text: str) -> None:
    fine = {
        "posteriors/registry.py": "from .methods.one import build\nfrom .models.mine import Mine\n",
        "posteriors/methods/one.py": "import jax\nfrom ..parts.part import part\n",
        "posteriors/models/mine.py": "from .table import Table\nfrom ..base import Event\n",
        "decide/loop/durable/durable.py": "from ..server.server import Server\n",
        "cli/jobs/run.py": "import jax\nfrom ..live.run import run\n",
        "cli/main.py": "def run():\n    import jax\n",
        "streams/formats/csv.py": "",
    }
    for name, content in {**fine, file: text}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert len(broken(tmp_path)) == 1
    (tmp_path / file).write_text(fine.get(file, ""))
    assert not broken(tmp_path)


def test_a_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    for name, to in (("one", "two"), ("two", "three"), ("three", "one"), ("four", "one")):
        (tmp_path / "cli" / f"{name}.py").write_text(f"def late():\n    from . import {to}\n")
    assert circles(tmp_path) == [["cli.one", "cli.three", "cli.two"]]
    (tmp_path / "cli" / "three.py").write_text("")
    assert not circles(tmp_path)
