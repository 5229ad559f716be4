"""Sums over people: one row for the people of each group and one for each rule beside them.

Choices are averaged within a person first and over people then, so that standard errors are over
people, whose choices hang together. Not here: what a choice was worth (people.py,
people_clicks.py), or how rows look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .bandit_choices import ProblemWorth
from .clicks import TrialWorth

PEOPLE = "people"
Row = dict[str, Any]


def _mean(values: np.ndarray) -> dict[str, float] | None:
    """Mean over people with its standard error, 0 of a single one; None where one is missing."""
    if not len(values) or not np.all(np.isfinite(values)):
        return None
    se = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": float(values.mean()), "se": float(se)}


def ratio_over_people(part: np.ndarray, whole: np.ndarray) -> dict[str, float] | None:
    """Sum of parts over sum of wholes, with the delta method's error over people."""
    total = whole.mean() if len(whole) else 0.0
    if not np.all(np.isfinite(part)) or total <= 0:
        return None
    value = part.mean() / total
    error = _mean((part - value * whole) / total)
    return {"mean": float(value), "se": error["se"] if error else 0.0}


def clicks_as_choices(worth: TrialWorth) -> ProblemWorth:
    """Clicks in the terms of arms: the best click, any of them, and none."""
    asked = np.stack([worth.best, worth.random, worth.waiting])
    learnt = np.append(worth.learnt, np.nan)
    nothing = np.zeros(len(learnt))
    return ProblemWorth(
        worth.chosen, worth.best, worth.random, worth.counted, asked, learnt, nothing, np.zeros(())
    )


def summary_rows(
    people: Sequence[str],
    groups: Sequence[str],
    watched: Sequence[ProblemWorth],
    rules: Sequence[str],
    rewarded: bool,
) -> list[Row]:
    """Rows by group, people first. people, groups, watched: of each problem. Gains in nats.

    gain: mean of a choice; of a rule, what it would have done at people's moments. best, random:
    mean of the best and of any choice then. share: gain over best. learnt: nats a problem, of a
    rule going its own way. regret: in percent of that of choosing at random, likewise.
    """
    made: list[Row] = []
    for group in dict.fromkeys(groups):
        of_group = [i for i, name in enumerate(groups) if name == group]
        mine: dict[str, list[ProblemWorth]] = {}
        for i in of_group:
            mine.setdefault(people[i], []).append(watched[i])
        mine = {who: some for who, some in mine.items() if any(w.counted.any() for w in some)}
        persons = [_person(some) for some in mine.values()]
        if not persons:
            continue
        choices = int(sum(w.counted.sum() for some in mine.values() for w in some))
        problems = sum(len(some) for some in mine.values())
        best, random = (np.array([p[name] for p in persons]) for name in ("best", "random"))
        uniform = np.array([p["uniform"] for p in persons])
        for place, who in enumerate((PEOPLE, *rules)):
            gain = np.array([p["gains"][place] for p in persons])
            regret = np.array([p["regret"][place] for p in persons])
            short = ratio_over_people(regret, uniform) if rewarded else None
            made.append({
                "group": group, "who": who, "people": len(persons), "problems": problems,
                "choices": choices, "gain": _mean(gain), "best": _mean(best),
                "share": ratio_over_people(gain, best), "random": _mean(random),
                "learnt": _mean(np.array([p["learnt"][place] for p in persons])),
                "regret": short and {name: 100 * value for name, value in short.items()},
                "by_turn": _by_turn([watched[i] for i in of_group], place),
            })  # fmt: skip
    return made


def _person(some: list[ProblemWorth]) -> Row:
    """One person's means over choices and problems."""
    counted = np.concatenate([w.counted for w in some])

    def over(values: list[np.ndarray]) -> float:
        return float(np.concatenate(values)[counted].mean())

    asked = [over([w.rules[i] for w in some]) for i in range(len(some[0].rules))]
    return {
        "gains": [over([w.chosen for w in some]), *asked],
        "best": over([w.best for w in some]),
        "random": over([w.random for w in some]),
        "learnt": np.mean([w.learnt for w in some], axis=0),
        "regret": np.mean([w.regret for w in some], axis=0),
        "uniform": float(np.mean([w.uniform for w in some])),
    }


def _by_turn(watched: Sequence[ProblemWorth], place: int) -> list[Row]:
    """Mean gain of the first, second, ... choice of a problem, of the best then and of any."""
    turns = max((int(w.counted.sum()) for w in watched), default=0)
    gathered: list[list[tuple[float, float, float]]] = [[] for _ in range(turns)]
    for w in watched:
        own = w.chosen if place == 0 else w.rules[place - 1]
        at = np.flatnonzero(w.counted)
        for turn, i in enumerate(at):
            gathered[turn].append((float(own[i]), float(w.best[i]), float(w.random[i])))
    made = []
    for turn, found in enumerate(gathered, 1):
        gain, best, random = np.mean(found, axis=0)
        made.append({
            "turn": turn, "choices": len(found), "gain": float(gain), "best": float(best),
            "random": float(random),
        })  # fmt: skip
    return made
