"""Options that several commands share, each declared once.

Each function makes a field of a command's dataclass; `default` is the command's own.

See also: ../options.py for how fields become options.
"""

from __future__ import annotations

from typing import Any

from ..options import option

SPEC = "NAME[:option=value...], FILE.py:OBJECT or an entry point"
"""Forms of a model, posterior, rule or proposer."""
LARGEST_SEED = 2**32 - 1
MODEL, DECISIONS, RUNS, OUTPUT = "Model and belief", "Decisions", "Runs", "Output"
"""Groups of options in help."""


def model(default: str | None = None, help: str = "") -> Any:
    """Declare `--model`.

    default: value where the option is not given.
    help: sentence in place of the usual one.
    """
    return option(
        default,
        help=help or f"Model of the observations: {SPEC}.",
        metavar="NAME",
        group=MODEL,
        key="setting",
    )


def posterior(default: str | None = None, help: str = "") -> Any:
    """Declare `--posterior` of a command that takes one.

    default: value where the option is not given.
    help: sentence in place of the usual one.
    """
    return option(default, help=help or f"Posterior: {SPEC}.", metavar="NAME", group=MODEL)


def posteriors(default: Any = (), help: str = "", **more: Any) -> Any:
    """Declare `--posterior` of a command that takes several.

    default: value where the option is not given.
    help: sentence in place of the usual one.
    more: further fields of the option.
    """
    return option(
        default,
        help=help or "Posteriors, separated by commas; all that can handle the model if none.",
        metavar="A,B",
        group=MODEL,
        key="grid",
        **more,
    )


def particles() -> Any:
    """Declare `--particles` of a command that takes one number."""
    return option(
        None, help="Posterior draws that a decision uses.", least=1, metavar="S", group=MODEL
    )


def refine(help: str = "Refine steps after each event.") -> Any:
    """Declare `--refine` of a command that takes one number.

    help: sentence in place of the usual one.
    """
    return option(None, help=help, least=0, metavar="K", group=MODEL)


def particles_grid() -> Any:
    """Declare `--particles` of a command that takes several numbers."""
    return option(
        (), help="Posterior draws that a decision uses; a row for each number.", least=1,
        metavar="S,S", group=MODEL, key="grid",
    )  # fmt: skip


def refine_grid(help: str = "Refine steps after each event; a row for each number.") -> Any:
    """Declare `--refine` of a command that takes several numbers.

    help: sentence in place of the usual one.
    """
    return option((), help=help, least=0, metavar="K,K", group=MODEL, key="grid")


def half_lives() -> Any:
    """Declare `--half-life` of a command that takes several."""
    return option(
        (), help="Halve the weight of an event after each TIME; inf keeps it. A row for each.",
        metavar="TIME,TIME", group=MODEL, key="grid",
    )  # fmt: skip


def rule(default: str | None = None, help: str = "") -> Any:
    """Declare `--rule` of a command that takes one.

    default: value where the option is not given.
    help: sentence in place of the usual one.
    """
    return option(default, help=help or f"Decision rule: {SPEC}.", metavar="NAME", group=DECISIONS)


def rules(help: str = "Decision rules, separated by commas.") -> Any:
    """Declare `--rule` of a command that takes several.

    help: sentence in place of the usual one.
    """
    return option((), help=help, metavar="A,B", group=DECISIONS, key="grid")


def proposer() -> Any:
    """Declare `--proposer`."""
    return option(
        None,
        help="Source of candidate actions in continuous spaces: prior, grid, around, polish or "
        "FILE.py:OBJECT.",
        metavar="NAME",
        group=DECISIONS,
        key="setting",
    )


def candidates(default: int | None = None, help: str = "", least: int = 1) -> Any:
    """Declare `--candidates`.

    default: value where the option is not given.
    help: sentence in place of the usual one.
    least: smallest number.
    """
    return option(
        default, help=help or "Candidate actions that a decision scores.", least=least,
        metavar="N", group=DECISIONS, key="setting",
    )  # fmt: skip


def explore(default: float | None = None) -> Any:
    """Declare `--explore`.

    default: value where the option is not given.
    """
    return option(
        default, help="Probability of a uniformly random action in place of the rule's.",
        least=0.0, most=1.0, metavar="E", group=DECISIONS, key="setting",
    )  # fmt: skip


def steps(default: int | None = None, help: str = "Events of a run.") -> Any:
    """Declare `--steps`.

    default: value where the option is not given.
    help: sentence in place of the usual one.
    """
    return option(default, help=help, least=1, metavar="N", group=RUNS, key="setting")


def seeds(default: int | None = None, help: str = "Runs of each cell.") -> Any:
    """Declare `--seeds`.

    default: value where the option is not given.
    help: sentence in place of the usual one.
    """
    return option(default, help=help, least=1, metavar="N", group=RUNS, key="setting")


def seed(default: int | None = 0) -> Any:
    """Declare `--seed`.

    default: value where the option is not given.
    """
    return option(
        default, help="Seed of the random numbers.", least=0, most=LARGEST_SEED, metavar="N",
        group=RUNS, key="setting",
    )  # fmt: skip


def frontier() -> Any:
    """Declare `--frontier`."""
    return option(
        None,
        help="Results of bench or sweep from which --posterior auto chooses; else those that come "
        "with uncertain.",
        metavar="FILE|STORE",
        group="Deadline",
    )


def log_format() -> Any:
    """Declare `--format` of a log."""
    return option(
        None, help="Format of the log, with options; else recognised by its first line.",
        metavar="NAME", group="Input",
    )  # fmt: skip


def label() -> Any:
    """Declare `--label`."""
    return option(
        None, help="Column of a plain CSV that holds the observation.", metavar="COLUMN",
        group="Input",
    )  # fmt: skip


def export_json(help: str = "Write the rows as NDJSON, one a cell.") -> Any:
    """Declare `--export-json`.

    help: sentence in place of the usual one.
    """
    return option(None, help=help, metavar="FILE", group=OUTPUT)


def export_csv() -> Any:
    """Declare `--export-csv`."""
    return option(None, help="Write the rows as CSV.", metavar="FILE", group=OUTPUT)


def export_markdown() -> Any:
    """Declare `--export-markdown`."""
    return option(None, help="Write the table as Markdown.", metavar="FILE", group=OUTPUT)
