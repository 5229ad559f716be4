"""Every study by name. To add one: its file, and one line here."""

from __future__ import annotations

from collections.abc import Callable

from ...posteriors.base import UsageError
from ...posteriors.loading import nearest
from . import bandits, interventions, search
from .base import Study

STUDIES: dict[str, Callable[[str], Study]] = {
    bandits.NAME: bandits.read,
    interventions.NAME: interventions.read,
    search.NAME: search.read,
}


def read_study(name: str, folder: str) -> Study:
    """A study from the user's own copy of its files."""
    if name not in STUDIES:
        raise UsageError(f'no study "{name}"{nearest(name, list(STUDIES))}')
    return STUDIES[name](folder)
