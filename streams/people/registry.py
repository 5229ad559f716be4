"""Every study by name. To add one: write its file, and add one line here."""

from __future__ import annotations

from collections.abc import Callable

from ...posteriors.errors import UsageError
from ...posteriors.specs import nearest
from . import bandits, interventions, search
from .base import Study

STUDIES: dict[str, Callable[[str], Study]] = {
    bandits.NAME: bandits.read_bandits,
    interventions.NAME: interventions.read_interventions,
    search.NAME: search.read_search,
}


def read_study(name: str, folder: str) -> Study:
    """Read a study from the user's own copy of its files.

    name: name of the study.
    folder: folder that holds the files.
    Raises: UsageError if there is no such study or a file is wrong.
    """
    if name not in STUDIES:
        raise UsageError(f'no study "{name}"{nearest(name, list(STUDIES))}')
    return STUDIES[name](folder)
