"""Versions and the machine, as result records name them."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import version

PACKAGES = ("uncertain", "jax", "jaxlib", "numpy", "numpyro", "optax")
"""Packages that compute results."""


@lru_cache(maxsize=1)
def computing_versions() -> dict[str, str]:
    """Return the versions of the packages that compute results, by name."""
    return {name: version(name) for name in PACKAGES}


def package_versions(*more: str) -> dict[str, str]:
    """Return the versions of the packages that compute results, and of Python.

    more: names of further packages.
    Returns: versions by name, Python last.
    """
    others = {name: version(name) for name in more}
    return computing_versions() | others | {"python": platform.python_version()}


def replay_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute the scores of a log."""
    names = ("uncertain", "jax", "numpy", "numpyro")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def device_kind() -> str:
    """Return the kind of the first device of JAX."""
    import jax

    return str(jax.devices()[0].device_kind)
