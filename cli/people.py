"""`uncertain people`: a study of people's choices beside the best ones and beside rules.

Not here: parsing the command line (command_people.py), what is computed (decide/judge/people.py,
people_clicks.py), or how rows look (people_table.py, people_picture.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from ..posteriors.base import UsageError
from .environment import Environment, ExitStatus, standard
from .replay_rows import versions
from .ticking import ticking

SCHEMA = 1
PICTURES = (".svg", ".png")
CLICKS = "clicks"
WITHIN = 0.01
"""Bits that the published observer may be off and still count as met."""
Row = dict[str, Any]


@dataclass(frozen=True)
class PeopleOptions:
    """Every field is a command-line option or argument of the same name; rule: specs of rules."""

    study: str
    folder: str
    rule: tuple[str, ...] = ()
    full: bool = False
    seed: int = 0
    export_json: str | None = None
    export_markdown: str | None = None
    picture: str | None = None


def people(options: PeopleOptions, environment: Environment | None = None) -> int:
    """Run and print; 0 when done. Raises UsageError for anything the user can put right."""
    from ..streams.files import open_output
    from .people_table import cells, grid, markdown, remarks

    environment = environment or standard()
    check(options)
    with ExitStack() as stack:

        def opened(path: str | None) -> BinaryIO | None:
            """Opened before any work, so that an unwritable path costs nothing."""
            if path is None:
                return None
            file = open_output(path, environment.data)
            return file if file is environment.data else stack.enter_context(file)

        rows_file, table_file, drawing = map(
            opened, (options.export_json, options.export_markdown, options.picture)
        )
        with ticking(f"replaying {options.study}", environment):
            rows, unit, notes = measure(options)
        for note in notes:
            environment.say(note)
        standard_taken = environment.data in (rows_file, table_file, drawing)
        console = environment.console()
        if console is not None and not standard_taken:
            console.print(grid(cells(rows, unit)))
            for line in remarks(rows):
                console.print(line, highlight=False)
        for file in (rows_file, None if console or standard_taken else environment.data):
            if file is not None:
                write_rows(rows, file)
        if table_file is not None:
            table_file.write(markdown(cells(rows, unit), list(remarks(rows))).encode())
        if drawing is not None and options.picture is not None:
            from .people_picture import picture

            drawing.write(picture(options.study, rows, unit, options.picture[-4:].lower()))
    return ExitStatus.DONE


def write_rows(rows: Sequence[Row], file: BinaryIO) -> None:
    """One JSON object a line."""
    from ..streams.ndjson import Writer

    writer = Writer(file, live=True)
    for row in rows:
        writer.write(row)


def check(options: PeopleOptions) -> None:
    """Refuse what cannot be before anything is read."""
    from ..posteriors.loading import nearest
    from ..streams.people.registry import STUDIES

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


def measure(options: PeopleOptions) -> tuple[list[Row], tuple[float, str], list[str]]:
    """Rows of one study, the unit its authors use (nats of one, its name), and notes."""
    if options.study == CLICKS:
        found, unit, notes = clicks(options)
    else:
        found, unit, notes = arms(options)
    config = {**asdict(options), "unit": unit[1]}
    for name in ("export_json", "export_markdown", "picture", "folder"):
        del config[name]
    head = {"schema": SCHEMA, "study": options.study}
    tail = {"config": config, "seed": options.seed, "versions": versions()}
    return [{**head, **row, **tail} for row in found], unit, notes


def some_of(people: Sequence[str], most: int) -> set[str]:
    """At most that many people, evenly out of all in their order."""
    everyone = list(dict.fromkeys(people))
    count = min(most, len(everyone))
    return {everyone[i * len(everyone) // count] for i in range(count)}


def fewer(options: PeopleOptions, people: Sequence[str], usual: int) -> tuple[set[str], list[str]]:
    """Whom to take, and what to say about it."""
    everyone = set(people)
    taken = everyone if options.full else some_of(people, usual)
    left = len(everyone) - len(taken)
    return taken, [f"{len(taken)} of {len(everyone)} people; --full takes all"] if left else []


def arms(options: PeopleOptions) -> tuple[list[Row], tuple[float, str], list[str]]:
    """Studies whose choices are one of several arms."""
    from ..decide.judge.people import watched
    from ..decide.judge.people_sums import rows
    from ..streams.people.registry import read_study

    study = read_study(options.study, options.folder)
    if not study.problems:
        raise UsageError(f"{options.folder}: the files hold no choices; is it a whole copy?")
    rules = options.rule or study.rules
    taken, notes = fewer(options, [p.person for p in study.problems], study.usual)
    problems = [p for p in study.problems if p.person in taken]
    worth = watched(problems, rules, options.seed)
    people, groups = [p.person for p in problems], [p.group for p in problems]
    found = rows(people, groups, worth, rules, study.rewarded)
    models: dict[str, list[str]] = {}
    for problem in problems:
        some = models.setdefault(problem.group, [])
        if problem.model not in some:
            some.append(problem.model)
    return (
        [{**row, "models": models[row["group"]]} for row in found],
        study.unit,
        [*study.notes, *notes],
    )


def clicks(options: PeopleOptions) -> tuple[list[Row], tuple[float, str], list[str]]:
    """Clicks in continuous time, and the published observer beside its authors' own figures."""
    import numpy as np

    from ..decide.judge.people_clicks import RULES, compared, worth
    from ..decide.judge.people_sums import from_clicks, rows
    from ..streams.people.clicks import read

    study = read(options.folder)
    trials = [trial for trial in study.trials if trial.clicks]
    if not trials:
        raise UsageError(f"{options.folder}: the files hold no clicks; is it a whole copy?")
    found = rows(
        [trial.person for trial in trials],
        [trial.group for trial in trials],
        [from_clicks(one) for one in worth(trials, options.seed)],
        (*RULES, "waiting"),
        False,
    )
    for delays in dict.fromkeys(trial.delays for trial in study.trials):
        against = compared([trial for trial in study.trials if trial.delays == delays])
        apart = np.array([one.apart for one in against if one.apart is not None])
        if len(apart):
            found.append({
                "group": f"{delays}, 20 events or fewer", "who": "published observer",
                "trials": len(apart), "crowded": len(against) - len(apart),
                "within": int((apart <= WITHIN).sum()), "worst": float(apart.max()),
                "median": float(np.median(apart)),
            })  # fmt: skip
    return found, study.unit, list(study.notes)
