"""Decide under uncertainty: models, beliefs, and a loop that chooses the actions that teach most.

    agent = uncertain.build("linear-gaussian", posterior="laplace", rule="eig")

See also: decide/loop/core/learner.py for the agent, posteriors/base.py for a model of your own.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # In a checkout the rooms lie beside this folder, not in it.
    from .decide.loop.core.learner import (  # pyright: ignore[reportMissingImports]
        Beliefs,
        Choice,
        Learner,
        build,
    )
    from .posteriors.base import (  # pyright: ignore[reportMissingImports]
        Arms,
        Model,
        Vector,
        dist,
    )
    from .posteriors.errors import UsageError  # pyright: ignore[reportMissingImports]

# The rooms may lie elsewhere: beside this folder in a checkout, in another when it is installed.
__path__ = extend_path(__path__, __name__)

_HOMES = {
    "decide.loop.core.learner": ("Beliefs", "Choice", "Learner", "build"),
    "posteriors.base": ("Arms", "Model", "Vector", "dist"),
    "posteriors.errors": ("UsageError",),
}
"""Modules of the public names, imported on first use so that the command line starts at once."""


def __getattr__(name: str) -> Any:
    """Import a public name, or read the installed version, on first use."""
    if name == "__version__":
        from importlib.metadata import version

        return version("uncertain")
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f".{module}", __name__), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__, "__version__"})


__all__ = ["Arms", "Beliefs", "Choice", "Learner", "Model", "UsageError", "Vector", "build", "dist"]
