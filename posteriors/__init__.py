"""Models, beliefs and the inference methods that update them.

Names load on first use, so that importing this package imports no numerical library.
See also: base.py for the contract, registry.py for names, errors.py and specs.py without JAX.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import (
        Arms,
        Draws,
        Event,
        Gaussian,
        Info,
        Model,
        Posterior,
        Summary,
        Vector,
        dist,
        provides,
    )
    from .errors import UsageError
    from .registry import build_model, build_posterior
    from .targets.base import Data, Target

_HOMES = {
    "base": (
        "Arms", "Draws", "Event", "Gaussian", "Info", "Model", "Posterior", "Summary", "Vector",
        "dist", "provides",
    ),
    "errors": ("UsageError",),
    "registry": ("build_model", "build_posterior"),
    "targets.base": ("Data", "Target"),
}  # fmt: skip
"""Modules of the public names."""


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f".{module}", __name__), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})


__all__ = [
    "Arms", "Data", "Draws", "Event", "Gaussian", "Info", "Model", "Posterior", "Summary", "Target",
    "UsageError", "Vector", "build_model", "build_posterior", "dist", "provides",
]  # fmt: skip
