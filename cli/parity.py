"""The body of `uncertain bench posteriordb`: inference methods on posteriors given by data.

Not here: the comparison (decide/judge/parity.py, moments.py), or how a table looks
(parity_table.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bench import progress
from .chosen import BenchOptions
from .environment import Environment, ExitStatus
from .exports import Records, finish_exports, ndjson, open_exports, write_exports

if TYPE_CHECKING:
    from ..decide.judge.parity import Effort
    from ..decide.judge.subjects import Subject

COLLECTIONS = ("posteriordb", "inference_gym")
"""What is benched by what it is compared with, in the place of a world."""
REFINE, RUNS = 400, 16
DATA = "UNCERTAIN_DATA"
"""Variable that names the folder of the collections."""
USED = {
    "world", "posterior", "particles", "refine", "seeds", "seed", "export_json", "export_csv",
    "export_markdown", "plot",
}  # fmt: skip


@dataclass
class ParityOptions:
    """data: folder. targets: names, all unless given. model: `file.py:Class` of a single target.

    models: folder of model files. reference: whether the judge makes draws where there are none.
    max_off: bound on the worst difference of means, in reference standard deviations.
    """

    data: str | None
    targets: tuple[str, ...]
    model: str | None
    models: str | None
    reference: bool
    max_off: float | None


def parity(options: BenchOptions, own: ParityOptions, environment: Environment) -> ExitStatus:
    """Every backend on every target; GATE_FAILED if a bound asked for was not met."""
    import jax

    from .parity_table import lines, markdown, table

    refuse(options)
    exports = open_exports(options, environment, markdown)
    console = environment.console()
    rows: Records = []
    try:
        # A reference is met to more digits than a decision needs.
        with jax.enable_x64(True), progress(environment) as report:
            for row in measured(options, own, environment, report):
                rows.append(row)
                write_exports(exports, rows, environment)
        finish_exports(exports, rows, environment)
    finally:
        for file, _ in exports:
            if file is not environment.data:
                file.close()
    if console is not None:
        console.print(table(rows))
    elif "-" not in (options.export_json, options.export_csv, options.export_markdown):
        environment.data.write(ndjson(rows))
    for text in lines(rows):
        environment.messages().print(text, style="dim", highlight=False)
    return gate(own, rows, environment)


def refuse(options: BenchOptions) -> None:
    """Refuse options of a bench that mean nothing for a posterior that is given."""
    from ..posteriors.base import UsageError

    default = BenchOptions()
    for name, value in vars(options).items():
        if name not in USED and value != getattr(default, name) and name != "model":
            option = "--" + name.replace("_", "-")
            raise UsageError(f"bench {options.world}: has no {option}: its posteriors are given")


def only_of_collections(own: ParityOptions) -> None:
    """Refuse options that mean nothing in a world."""
    from ..posteriors.base import UsageError

    wanted = {
        "--data": own.data,
        "--target": own.targets,
        "--models": own.models,
        "--reference": own.reference,
        "--max-off": own.max_off,
    }
    for option, value in wanted.items():
        if value:
            raise UsageError(f"bench: {option} is for one of {', '.join(COLLECTIONS)}")


def folder_of(options: BenchOptions, own: ParityOptions, environment: Environment) -> Path:
    """The collection's folder."""
    from ..posteriors.base import UsageError

    if own.data is not None:
        return Path(own.data)
    if place := environment.variables.get(DATA):
        return Path(place) / str(options.world)
    raise UsageError(
        f"bench {options.world}: say where the collection lies: --data FOLDER, or {DATA} for the "
        f"folder that holds {options.world}"
    )


def measured(options: BenchOptions, own: ParityOptions, environment: Environment, report: Any):
    """Records, one after another; what cannot be is told and left out."""
    from ..decide.judge.subjects import judged, subject_of, target_of
    from ..posteriors.base import UsageError
    from ..posteriors.registry import POSTERIORS, options_of
    from ..streams.posteriordb import chosen, sources

    picked = chosen(sources(folder_of(options, own, environment)), own.targets)
    if own.model is not None and len(picked) != 1:
        raise UsageError("--model is of one target: also name it with --target")
    texts = options.posterior or tuple(POSTERIORS)
    for text in texts:
        options_of(text)
    models = Path(own.models) if own.models else None
    # All models are made before any work starts: what can be wrong with one is told at once.
    targets = [target_of(source, models, own.model) for source in picked]
    for done, (source, target) in enumerate(zip(picked, targets, strict=True)):
        report(f"{source.name}, reference", done / len(picked))
        subject = subject_of(source, target, judge_own(own))
        warn(subject, environment)
        for text in texts:
            for effort in efforts(options, text):
                report(f"{source.name}, {text}", done / len(picked))
                try:
                    yield judged(subject, text, effort.refine, effort)
                except UsageError as error:
                    if options.posterior:
                        raise
                    environment.say(f"{source.name}: {error}")


def judge_own(own: ParityOptions):
    """What makes reference draws where the collection has none."""
    if not own.reference:
        return None
    from ..decide.judge.longrun import kept_draws

    return kept_draws


def warn(subject: Subject, environment: Environment) -> None:
    """Say what is wrong with a reference."""
    from ..decide.judge.stein import Z

    if subject.reference is None:
        why = f": {subject.why}" if subject.why else "; --reference makes one"
        environment.say(f"{subject.name}: there is no reference to compare with{why}")
    if subject.stein is not None and not subject.stein < Z:
        environment.say(
            f"{subject.name}: the model is not that of the reference draws: Stein's identities are "
            f"{subject.stein:.3g} standard errors off, allowed are {Z:g}"
        )


def efforts(options: BenchOptions, text: str) -> list[Effort]:
    """Each number of particles and of refine steps."""
    from ..decide.judge.parity import Effort
    from ..posteriors.loading import parse
    from ..posteriors.registry import takes, usual

    target = parse(text).target
    said = dict(parse(text).settings).get("particles")
    sizes: tuple[int | None, ...] = options.particles or (None,)
    if not takes(target, "particles"):
        sizes = (None,)
    elif said is not None or not options.particles:
        sizes = (said or usual(target, "particles"),)
    runs = RUNS if options.seeds is None else options.seeds
    return [
        Effort(runs=max(runs, 2), refine=refine, particles=size, seed=options.seed or 0)
        for size in sizes
        for refine in options.refine or (REFINE,)
    ]


def gate(own: ParityOptions, rows: Records, environment: Environment) -> ExitStatus:
    """Whether every row keeps the bound asked for."""
    status = ExitStatus.DONE
    for row in rows:
        if own.max_off is not None and not (row["worst"] or 0.0) <= own.max_off:
            environment.say(
                f"{row['target']}, {row['posterior']}: mean of {row['worst_of']} is "
                f"{row['worst']:.3g} sd off > {own.max_off:g}"
            )
            status = ExitStatus.GATE_FAILED
    return status
