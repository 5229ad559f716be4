"""Means over people: one row for the people of each group and one for each rule.

Choices are averaged within a person first and then over people, since the choices of one person
depend on each other; standard errors are over people.

See also: bandit_choices.py and clicks.py for the value of a choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..records.people_record import PeopleRecord, StudyRun, TurnGain
from ..records.record import Mean
from .bandit_choices import ProblemWorth
from .clicks import TrialWorth

PEOPLE = "people"


def mean_over_people(values: np.ndarray) -> Mean | None:
    """Average over people.

    values: one a person.
    Returns: the mean, whose se is 0 for one person; None without people or if one value is not
        finite.
    """
    if not len(values) or not np.all(np.isfinite(values)):
        return None
    se = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return Mean(float(values.mean()), float(se))


def ratio_over_people(part: np.ndarray, whole: np.ndarray) -> Mean | None:
    """Divide a sum of parts by a sum of wholes, with the delta method's error over people.

    part: one a person.
    whole: one a person.
    Returns: the ratio; None if a part is not finite or the sum of wholes is not positive.
    """
    total = whole.mean() if len(whole) else 0.0
    if not np.all(np.isfinite(part)) or total <= 0:
        return None
    value = part.mean() / total
    error = mean_over_people((part - value * whole) / total)
    return Mean(float(value), error.se if error else 0.0)


def clicks_as_choices(worth: TrialWorth) -> ProblemWorth:
    """Convert clicks to choices; the rules are then the best click, a random one, and none.

    worth: values of a trial.
    """
    asked = np.stack([worth.best, worth.random, worth.waiting])
    learnt = np.append(worth.learnt, np.nan)
    nothing = np.zeros(len(learnt))
    return ProblemWorth(
        worth.chosen, worth.best, worth.random, worth.counted, asked, learnt, nothing, np.zeros(())
    )


def summary_rows(
    run: StudyRun,
    people: Sequence[str],
    groups: Sequence[str],
    watched: Sequence[ProblemWorth],
    rules: Sequence[str],
    rewarded: bool,
) -> list[PeopleRecord]:
    """Build rows by group, people first.

    run: fields that all rows share.
    people: name of the person, for each problem.
    groups: name of the group, for each problem.
    watched: values, for each problem.
    rules: names of the rules.
    rewarded: whether regret is reported.
    Returns: rows with gain, mean nats a choice, for rules at people's moments; best and random,
        the same of the best and of a random choice; share, gain over best; learnt, nats a problem,
        for rules playing alone; regret, percent of the regret of random choices.
    """
    made: list[PeopleRecord] = []
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
            learnt = np.array([p["learnt"][place] for p in persons])
            made.append(PeopleRecord(
                **run, group=group, who=who, people=len(persons), problems=problems,
                choices=choices, gain=mean_over_people(gain), best=mean_over_people(best),
                share=ratio_over_people(gain, best), random=mean_over_people(random),
                learnt=mean_over_people(learnt),
                regret=short and Mean(100 * short.mean, 100 * short.se),
                by_turn=gain_by_turn([watched[i] for i in of_group], place),
            ))  # fmt: skip
    return made


def _person(some: list[ProblemWorth]) -> dict[str, Any]:
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


def gain_by_turn(watched: Sequence[ProblemWorth], place: int) -> list[TurnGain]:
    """Average the gain of the first, second, ... choice of a problem over problems.

    watched: values of problems.
    place: 0 for people, i for the rule of that number.
    Returns: for each turn: mean gain of the choice, of the best and of a random one.
    """
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
        made.append(TurnGain(turn=turn, choices=len(found), gain=float(gain), best=float(best),
                             random=float(random)))  # fmt: skip
    return made
