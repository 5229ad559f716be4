"""The body of `uncertain people`: choices in a study beside the best ones and those of rules.

See also: decide/judge/people/bandit_choices.py for the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import BinaryIO

import numpy as np

from ...decide.judge.people.bandit_choices import value_problems
from ...decide.judge.people.clicks import RULES, value_trials
from ...decide.judge.people.published_entropies import compare_entropies
from ...decide.judge.people.summaries import clicks_as_choices, summary_rows
from ...decide.judge.records.machine import replay_versions
from ...decide.judge.records.people_record import ObserverRecord, PeopleRow, StudyRun
from ...posteriors.errors import UsageError
from ...posteriors.specs import nearest
from ...streams.formats.files import open_output
from ...streams.people.clicks import read_clicks
from ...streams.people.registry import STUDIES, read_study
from ..commands.people import PeopleOptions
from ..environment import Environment, ExitStatus, standard_environment
from ..report.people_picture import render_people_picture
from ..tables.exports import encode_ndjson
from ..tables.people_table import list_people_remarks, people_table, render_people_markdown
from ..tables.progress import show_event_count

PICTURES = (".svg", ".png")
CLICKS = "clicks"
WITHIN = 0.01
"""Bits that the published observer may be off and still count as met."""


def people(options: PeopleOptions, environment: Environment | None = None) -> int:
    """Compare the choices of a study's participants with rules, and show the rows.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status.
    Raises: UsageError for wrong options or input.
    """
    environment = environment or standard_environment()
    _check(options)
    with ExitStack() as stack:

        def opened(path: str | None) -> BinaryIO | None:
            """Open a file before any work, so that an unwritable path costs nothing."""
            if path is None:
                return None
            file = open_output(path, environment.data)
            return file if file is environment.data else stack.enter_context(file)

        rows_file, table_file, drawing = map(
            opened, (options.export_json, options.export_markdown, options.picture)
        )
        with show_event_count(f"replaying {options.study}", environment):
            rows, unit, notes = (_clicks if options.study == CLICKS else _arms)(options)
        for note in notes:
            environment.say(note)
        standard_taken = environment.data in (rows_file, table_file, drawing)
        console = environment.console()
        if console is not None and not standard_taken:
            console.print(people_table(rows, unit))
            for line in list_people_remarks(rows):
                console.print(line, highlight=False)
        for file in (rows_file, None if console or standard_taken else environment.data):
            if file is not None:
                file.write(encode_ndjson(rows))
                file.flush()
        if table_file is not None:
            table_file.write(render_people_markdown(rows, unit).encode())
        if drawing is not None and options.picture is not None:
            drawing.write(
                render_people_picture(options.study, rows, unit, options.picture[-4:].lower())
            )
    return ExitStatus.DONE


def _check(options: PeopleOptions) -> None:
    """Refuse impossible options before anything is read."""
    known = sorted([*STUDIES, CLICKS])
    if options.study not in known:
        raise UsageError(f'no study "{options.study}"{nearest(options.study, known)}')
    if options.study == CLICKS and options.rule:
        raise UsageError(
            "study clicks has rules of its own, eig and random: choices in continuous time are no "
            "model's events; leave --rule out"
        )
    if options.picture is not None and not options.picture.lower().endswith(PICTURES):
        raise UsageError(f"--picture {options.picture}: name a file .svg or .png")


def _run_of(options: PeopleOptions, unit: tuple[float, str]) -> StudyRun:
    """Return the fields that all rows share."""
    config = {**asdict(options), "unit": unit[1]}
    for name in ("export_json", "export_markdown", "picture", "folder"):
        del config[name]
    return {
        "study": options.study,
        "config": config,
        "seed": options.seed,
        "versions": replay_versions(),
    }


def space_evenly(people: Sequence[str], most: int) -> set[str]:
    """Return evenly spaced participants, in order.

    people: ids of all participants.
    most: largest number to return.
    """
    everyone = list(dict.fromkeys(people))
    count = min(most, len(everyone))
    return {everyone[i * len(everyone) // count] for i in range(count)}


def _fewer(options: PeopleOptions, people: Sequence[str], usual: int) -> tuple[set[str], list[str]]:
    """Return the participants to use and a note about them."""
    everyone = set(people)
    taken = everyone if options.full else space_evenly(people, usual)
    left = len(everyone) - len(taken)
    return taken, [f"{len(taken)} of {len(everyone)} people; --full takes all"] if left else []


def _arms(options: PeopleOptions) -> tuple[list[PeopleRow], tuple[float, str], list[str]]:
    """Compare studies with a choice of arms."""
    study = read_study(options.study, options.folder)
    if not study.problems:
        raise UsageError(f"{options.folder}: the files hold no choices; is it a whole copy?")
    rules = options.rule or study.rules
    taken, notes = _fewer(options, [p.person for p in study.problems], study.usual)
    problems = [p for p in study.problems if p.person in taken]
    worth = value_problems(problems, rules, options.seed)
    people, groups = [p.person for p in problems], [p.group for p in problems]
    run = _run_of(options, study.unit)
    found = summary_rows(run, people, groups, worth, rules, study.rewarded)
    models: dict[str, list[str]] = {}
    for problem in problems:
        some = models.setdefault(problem.group, [])
        if problem.model not in some:
            some.append(problem.model)
    for row in found:
        row.models = models[row.group]
    return [*found], study.unit, [*study.notes, *notes]


def _clicks(options: PeopleOptions) -> tuple[list[PeopleRow], tuple[float, str], list[str]]:
    """Compare clicks in continuous time, with the published observer beside."""
    study = read_clicks(options.folder)
    trials = [trial for trial in study.trials if trial.clicks]
    if not trials:
        raise UsageError(f"{options.folder}: the files hold no clicks; is it a whole copy?")
    run = _run_of(options, study.unit)
    found: list[PeopleRow] = [
        *summary_rows(
            run,
            [trial.person for trial in trials],
            [trial.group for trial in trials],
            [clicks_as_choices(one) for one in value_trials(trials, options.seed)],
            (*RULES, "waiting"),
            False,
        )
    ]
    for delays in dict.fromkeys(trial.delays for trial in study.trials):
        against = compare_entropies([trial for trial in study.trials if trial.delays == delays])
        apart = np.array([one.apart for one in against if one.apart is not None])
        if len(apart):
            found.append(ObserverRecord(
                **run, group=f"{delays}, 20 events or fewer", who="published observer",
                trials=len(apart), crowded=len(against) - len(apart),
                within=int((apart <= WITHIN).sum()), worst=float(apart.max()),
                median=float(np.median(apart)),
            ))  # fmt: skip
    return found, study.unit, list(study.notes)
