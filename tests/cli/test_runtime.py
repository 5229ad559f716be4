"""Imports kept from the garbage collector, once."""

import gc
import subprocess
import sys

from uncertain.cli.runtime import import_uncollected

FIRST = """
import gc
from uncertain.cli.runtime import import_uncollected
with import_uncollected():
    import jax
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""


def test_what_the_first_import_makes_is_not_looked_through() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_what_comes_later_is_still_collected() -> None:
    import jax  # noqa: F401  it is there already, as in a process that runs several commands

    before = gc.get_freeze_count()
    with import_uncollected():
        pass
    # What was frozen before may be let go of meanwhile.
    assert gc.get_freeze_count() <= before
    assert gc.isenabled()
