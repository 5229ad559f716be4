"""The versions that CI tests as the lowest are the bounds that pyproject.toml declares."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
BOUND = re.compile(r"([A-Za-z0-9_-]+)(?:\[\w+\])?>=([0-9.]+)(?:,<[0-9.]+)?")


def declared(text: str) -> dict[str, str]:
    """Name and lower bound of every dependency, those of all extras included."""
    project = tomllib.loads(text)["project"]
    found: dict[str, str] = {}
    extras = project["optional-dependencies"].values()
    for line in [*project["dependencies"], *(one for extra in extras for one in extra)]:
        if line.startswith(f"{project['name']}["):
            continue
        bound = BOUND.fullmatch(line)
        assert bound, f"{line} has no lower bound"
        assert found.setdefault(bound[1], bound[2]) == bound[2], f"{bound[1]} has two bounds"
    return found


def listed(text: str) -> dict[str, str]:
    """Name and version of every line that is not a comment."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def test_the_lowest_versions_are_the_declared_bounds() -> None:
    text, lowest = (ROOT / "pyproject.toml").read_text(), (ROOT / ".ci/lowest.txt").read_text()
    assert listed(lowest) == declared(text)
    # Negative control: a bound that moves alone is found.
    assert listed(lowest) != declared(text.replace("msgspec>=", "msgspec>=1"))
    assert list(listed(lowest)) == sorted(listed(lowest))
