"""The import rules: one way between rooms, no backend from another, heavy imports inside commands.

Not here: what the code does.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("posteriors", "streams", "decide", "cli")
"""Each may import those before it."""
INNER = ("training", "rules", "loop", "judge")
"""Within decide, each may import those before it."""
HEAVY = {"jax", "numpy", "numpyro", "tensorstore", "optax", "blackjax"}
SHARED = {
    "__init__", "artefact", "ascent", "base", "blocks", "climbing", "contract", "curvature",
    "fading", "forgetting", "history", "idle", "loading", "motion", "moves", "outcomes", "policy",
    "registry", "target", "targeting", "trailing", "unknowns",
}  # fmt: skip
"""Files of posteriors/ that are not backends."""


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


def broken(root: Path) -> list[str]:
    """Every import in the tree that breaks a rule, as `file:line imports name`."""
    faults = []
    backends = {p.stem for p in (root / "posteriors").glob("*.py")} - SHARED
    for path in sorted(p for room in ROOMS for p in (root / room).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        room, stem = parts[0], parts[-1]
        for line, name in imports(path, root):
            to = name.split(".")
            wrong = to[0] in ROOMS and ROOMS.index(to[0]) > ROOMS.index(room)
            if room == to[0] == "decide" and parts[1] in INNER and to[1] in INNER:
                wrong |= INNER.index(to[1]) > INNER.index(parts[1])
            to_backend = len(to) > 1 and to[0] == "posteriors" and to[1] in backends
            from_backend = room == "posteriors" and stem in backends
            wrong |= to_backend and (from_backend or stem in SHARED - {"registry"})
            wrong |= to_backend and to[1] == stem and from_backend
            to_model = to[:2] == ["posteriors", "models"] and room == "posteriors"
            wrong |= to_model and "models" not in parts and stem != "registry"
            if wrong:
                faults.append(f"{'/'.join(parts)}.py:{line} imports {name}")
        if room == "cli":
            for line, name in imports(path, root, top_only=True):
                if name.split(".")[0] in HEAVY:
                    faults.append(f"{'/'.join(parts)}.py:{line} imports {name} at the top")
    return faults


def test_imports_keep_the_rules() -> None:
    assert not broken(ROOT)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("posteriors/base.py", "from ..streams import store"),
        ("posteriors/base.py", "def late():\n    from ..decide.rules import base"),
        ("posteriors/base.py", "from uncertain.cli import main"),
        ("streams/store.py", "from ..decide.loop.live import run"),
        ("posteriors/one.py", "from .two import build"),
        ("posteriors/one.py", "from uncertain.posteriors.two import build"),
        ("posteriors/base.py", "from . import one"),
        ("posteriors/one.py", "from .models.mine import Mine"),
        ("decide/rules/base.py", "from ..loop.live import run"),
        ("decide/rules/base.py", "from ..judge import gain"),
        ("decide/loop/live.py", "from ..judge.gain import gain"),
        ("cli/main.py", "import jax.numpy as jnp"),
        ("cli/main.py", "from numpy import array"),
    ],
)
def test_a_broken_rule_is_found(tmp_path: Path, file: str, text: str) -> None:
    for room in ("posteriors", "streams", "decide/rules", "decide/loop", "decide/judge", "cli"):
        (tmp_path / room).mkdir(parents=True)
    for name in ("one", "two", "base", "registry"):
        (tmp_path / "posteriors" / f"{name}.py").write_text("")
    fine = "from .one import build\nfrom .models.mine import Mine\nfrom .base import Event\n"
    (tmp_path / "posteriors" / "registry.py").write_text(fine)
    (tmp_path / "cli" / "run.py").write_text("def run():\n    import jax\n")
    assert not broken(tmp_path)
    (tmp_path / file).write_text(text)
    assert len(broken(tmp_path)) == 1
