"""The body of `uncertain parity`: inference methods on posteriors given by data.

See also: decide/judge/parity/estimate.py for the comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from ...decide.judge.parity.estimate import Effort, posterior_for
from ...decide.judge.parity.problems import (
    ParityProblem,
    judge_posterior,
    load_problem,
    load_target,
)
from ...decide.judge.parity.stein import Z
from ...decide.judge.records.parity_record import ParityRecord
from ...decide.judge.reference.reference_draws import target_draws
from ...posteriors.errors import UsageError
from ...posteriors.registry import POSTERIORS, option_default, options_class, takes_option
from ...posteriors.specs import nearest, parse_spec
from ...posteriors.targets.base import Target
from ...streams.formats.posteriordb import find_posteriors, select_posteriors
from ..commands.parity import ParityOptions
from ..environment import Environment, ExitStatus
from ..tables.exports import encode_ndjson, finish_exports, open_exports, write_exports
from ..tables.parity_table import list_parity_remarks, parity_table, render_parity_markdown
from ..tables.progress_bar import show_progress

COLLECTIONS = ("posteriordb", "inference_gym")
"""Sources of targets."""
REFINE, RUNS = 400, 16
DATA = "UNCERTAIN_DATA"
"""Variable that names the folder of the collections."""


def parity(options: ParityOptions, environment: Environment) -> ExitStatus:
    """Run every method on every target and show the differences from the reference.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status; GATE_FAILED if a bound was not met.
    Raises: UsageError for wrong options or input.
    """
    _check(options)
    exports = open_exports(options, environment, render_parity_markdown)
    console = environment.console()
    rows: list[ParityRecord] = []
    try:
        # A reference is met to more digits than a decision needs.
        with jax.enable_x64(True), show_progress(environment) as report:
            for row in _measured(options, environment, report):
                rows.append(row)
                write_exports(exports, rows, environment)
        finish_exports(exports, rows, environment)
    finally:
        for file, _ in exports:
            if file is not environment.data:
                file.close()
    if console is not None:
        console.print(parity_table(rows))
    elif "-" not in (options.export_json, options.export_csv, options.export_markdown):
        environment.data.write(encode_ndjson(rows))
    for text in list_parity_remarks(rows):
        environment.messages().print(text, style="dim", highlight=False)
    return _gate(options, rows, environment)


def _check(options: ParityOptions) -> None:
    """Refuse an unknown collection."""
    if options.collection not in COLLECTIONS:
        hint = nearest(options.collection, list(COLLECTIONS))
        raise UsageError(f'no collection "{options.collection}"{hint}')


def _folder_of(options: ParityOptions, environment: Environment) -> Path:
    """Return the folder of the collection."""
    if options.data is not None:
        return Path(options.data)
    if place := environment.variables.get(DATA):
        return Path(place) / options.collection
    raise UsageError(
        f"parity {options.collection}: say where the collection lies: --data FOLDER, or {DATA} "
        f"for the folder that holds {options.collection}"
    )


def _measured(
    options: ParityOptions, environment: Environment, report: Any
) -> Iterator[ParityRecord]:
    """Return records one after another; say which are left out and why."""
    picked = select_posteriors(find_posteriors(_folder_of(options, environment)), options.target)
    if options.model is not None and len(picked) != 1:
        raise UsageError("--model is of one target: also name it with --target")
    texts = options.posterior or tuple(POSTERIORS)
    for text in texts:
        options_class(text)
    models = Path(options.models) if options.models else None
    # All models are built before any work starts, so that faults show at once.
    targets = [load_target(source, models, options.model) for source in picked]
    if options.posterior:
        _refuse_early(targets, texts)
    for done, (source, target) in enumerate(zip(picked, targets, strict=True)):
        report(f"{source.name}, reference", done / len(picked))
        subject = load_problem(source, target, _judge_own(options))
        _warn(subject, environment)
        for text in texts:
            for effort in _efforts(options, text):
                report(f"{source.name}, {text}", done / len(picked))
                try:
                    yield judge_posterior(subject, text, effort)
                except UsageError as error:
                    if options.posterior:
                        raise
                    environment.say(f"{source.name}: {error}")


def _refuse_early(targets: list[Target], texts: tuple[str, ...]) -> None:
    """Refuse a posterior that the user named and a target cannot have, before any work."""
    for target in targets:
        for text in texts:
            posterior_for(text, target, Effort())


def _judge_own(options: ParityOptions):
    """Return the maker of reference draws for targets without any."""
    if not options.reference:
        return None

    return target_draws


def _warn(subject: ParityProblem, environment: Environment) -> None:
    """Warn of a doubtful reference."""
    if subject.reference is None:
        why = f": {subject.why}" if subject.why else "; --reference makes one"
        environment.say(f"{subject.name}: there is no reference to compare with{why}")
    if subject.stein is not None and not subject.stein < Z:
        environment.say(
            f"{subject.name}: the model is not that of the reference draws: Stein's identities are "
            f"{subject.stein:.3g} standard errors off, allowed are {Z:g}"
        )


def _efforts(options: ParityOptions, text: str) -> list[Effort]:
    """Return each pair of a number of particles and of refine steps."""
    target = parse_spec(text).target
    given = dict(parse_spec(text).settings).get("particles")
    sizes: tuple[int | None, ...] = options.particles or (None,)
    if not takes_option(target, "particles"):
        sizes = (None,)
    elif given is not None or not options.particles:
        sizes = (given or option_default(target, "particles"),)
    runs = RUNS if options.seeds is None else options.seeds
    return [
        Effort(runs=max(runs, 2), refine=refine, particles=size, seed=options.seed or 0)
        for size in sizes
        for refine in options.refine or (REFINE,)
    ]


def _gate(options: ParityOptions, rows: list[ParityRecord], environment: Environment) -> ExitStatus:
    """Check every row against the bound asked for; what was not compared has not met it."""
    if options.max_off is None:
        return ExitStatus.DONE
    if not rows:
        environment.say(
            f"--max-off {options.max_off:g}: no posterior was compared with a reference"
        )
        return ExitStatus.GATE_FAILED
    status = ExitStatus.DONE
    for row in rows:
        where = f"{row.target}, {row.posterior}"
        if row.passed is None:
            environment.say(
                f"{where}: no reference to compare with, so --max-off is not met; --reference "
                "makes one"
            )
        elif row.worst is None:
            environment.say(f"{where}: mean of {row.worst_of} is no number: it diverged")
        elif not row.worst <= options.max_off:
            environment.say(
                f"{where}: mean of {row.worst_of} is {row.worst:.3g} sd off > {options.max_off:g}"
            )
        else:
            continue
        status = ExitStatus.GATE_FAILED
    return status
