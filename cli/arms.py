"""Arms of `uncertain run`: named beforehand (`--arms`), or as they are met (`--new-arms`).

Not here: which arm has which place (streams/slots.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..posteriors.base import Arms, UsageError, Vector
from ..posteriors.loading import Spec, parse

if TYPE_CHECKING:
    from ..streams.slots import Slots
    from .run import Run


def with_arms(options: Run) -> str:
    """The model's spec with as many arms as were named, unless it says how many."""
    from ..posteriors.registry import MODELS

    spec = parse(options.model)
    fields = getattr(MODELS.get(spec.target), "__dataclass_fields__", {})
    settings = dict(spec.settings)
    if options.arms and "arms" in fields and not options.new_arms:
        settings.setdefault("arms", len(options.arms))
    return str(Spec(spec.target, tuple(sorted(settings.items()))))


def check_arms(options: Run, space: Arms | Vector) -> None:
    """UsageError where the arms that were named do not fit the model's."""
    count = space.count if isinstance(space, Arms) else 0
    there = f"{count} arms" if count else "no arms"
    if options.new_arms and not count:
        raise UsageError(
            f"--new-arms: model {options.model} has no arms; candidates with features come and go "
            "in any request"
        )
    named = len(options.arms)
    if named > count or (named and named < count and not options.new_arms):
        raise UsageError(f"--arms names {named}, model {options.model} has {there}")


def places(slots: Slots) -> list[str]:
    """How many arms there are by now, where that may change: for a person, at the end."""
    if not slots.open:
        return []
    count = len(slots)
    return [f"{count} arm{'s are' if count != 1 else ' is'} known, in {slots.count} places"]
