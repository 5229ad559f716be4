"""Where the examples are."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of examples that the documentation speaks of."""
    return Path(__file__).parents[2] / "examples"
