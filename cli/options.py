"""Options that several commands share, and how their values are read.

Not here: any command, or names of models and posteriors (the registries know those).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

import typer

OPEN, CLOSE = "([{", ")]}"
DURATION = re.compile(r"(\d+\.?\d*|\.\d+)\s*(ns|us|µs|ms|s|min|h)?")
UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "": 1.0,
    "min": 60.0,
    "h": 3600.0,
}

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="What may be true: name:option=value, file.py:object or an installed entry point.",
    ),
]
Posterior = Annotated[
    str | None,
    typer.Option(
        "--posterior",
        metavar="NAME",
        help="How belief is updated: name:option=value, file.py:object or an entry point; auto is "
        "the best measured one for --deadline.",
    ),
]
Rule = Annotated[
    str | None,
    typer.Option(
        "--rule",
        metavar="NAME",
        help="How actions are chosen: name:option=value, file.py:object or an entry point.",
    ),
]
Posteriors = Annotated[
    list[str] | None,
    typer.Option(
        "--posterior",
        metavar="A,B",
        help="Posteriors; commas or repetition list more. With bench --deadline, auto is the best "
        "measured one.",
    ),
]
Rules = Annotated[
    list[str] | None,
    typer.Option("--rule", metavar="A,B", help="Rules; commas or repetition list more."),
]
Proposer = Annotated[
    str | None,
    typer.Option(
        "--proposer",
        metavar="NAME",
        help="Where candidates come from in continuous spaces: prior, grid, around, polish or "
        "file.py:object.",
    ),
]
Candidates = Annotated[
    int | None,
    typer.Option("--candidates", min=1, metavar="N", help="Candidate actions a decision scores."),
]
Particles = Annotated[
    int | None,
    typer.Option("--particles", min=1, metavar="S", help="Draws of belief that a decision sees."),
]
Refine = Annotated[
    int | None,
    typer.Option("--refine", min=0, metavar="K", help="Refine steps after each event."),
]
Explore = Annotated[
    float | None,
    typer.Option(
        "--explore",
        min=0.0,
        max=1.0,
        metavar="E",
        help="Probability of a uniformly random choice instead of the rule's.",
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, max=2**32 - 1, metavar="N", help="Seed of everything random."),
]
ParticlesGrid = Annotated[
    list[str] | None,
    typer.Option("--particles", metavar="S,S", help="Draws of belief, a row each."),
]
RefineGrid = Annotated[
    list[str] | None,
    typer.Option("--refine", metavar="K,K", help="Refine steps after each event, a row each."),
]
ThinkGrid = Annotated[
    list[str] | None,
    typer.Option("--think", metavar="K,K", help="Refine steps between events, a row each."),
]
HalfLife = Annotated[
    str | None,
    typer.Option(
        "--half-life",
        metavar="TIME",
        help="Forget: an event counts half after this, then a quarter; inf forgets nothing.",
    ),
]
HalfLifeGrid = Annotated[
    list[str] | None,
    typer.Option(
        "--half-life",
        metavar="TIME,TIME",
        help="Forget: an event counts half after this, then a quarter; a row each, inf for none.",
    ),
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, metavar="N", help="Events a run.")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, metavar="N", help="Runs a cell.")]
OwnSeed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**32 - 1, metavar="N", help="Seed of everything."),
]
Live = Annotated[
    int | None,
    typer.Option("--live", min=0, metavar="N", help="Live runs a cell, which time it."),
]
Spce = Annotated[
    int | None,
    typer.Option("--spce", min=1, metavar="L", help="Also sPCE and sNMC with L prior draws."),
]
Samples = Annotated[
    int | None,
    typer.Option("--samples", min=0, metavar="L", help="Draws behind the ACE and VNMC bounds."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        metavar="N",
        help="Processes for gain; 0 is one a core, in bench none beside this for few events.",
    ),
]
Joint = Annotated[
    list[str] | None,
    typer.Option(
        "--joint", metavar="TAU,TAU", help="Also predict TAU observations jointly, a column each."
    ),
]
Settle = Annotated[
    int | None,
    typer.Option(
        "--settle", min=0, metavar="N", help="Refine steps after the last event, before judging."
    ),
]
Fidelity = Annotated[
    bool, typer.Option("--fidelity", help="Also choices against a reference's, on one history.")
]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="2ms",
        help="Live runs whose decisions look at less where all does not fit into this.",
    ),
]
Frontier = Annotated[
    str | None,
    typer.Option(
        "--frontier",
        metavar="FILE|STORE",
        help="Results that --posterior auto chooses from, of bench or sweep; else those that come "
        "with uncertain.",
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", min=1e-3, metavar="HZ", help="Events a second under a deadline; else no pause."
    ),
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="Log format; told by its first line."),
]
Label = Annotated[
    str | None,
    typer.Option("--label", metavar="COLUMN", help="What a plain CSV observes."),
]
NoCache = Annotated[
    bool,
    typer.Option(
        "--no-cache",
        help="Compile afresh and keep nothing in the cache folder (or UNCERTAIN_NO_CACHE=1).",
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show the traceback of an error (or UNCERTAIN_DEBUG=1)."),
]


def names(values: Iterable[str] | None) -> tuple[str, ...]:
    """Repeated and comma-separated values as one list; commas inside brackets do not separate."""
    found = []
    for value in values or ():
        depth, part = 0, ""
        for character in value:
            depth += (character in OPEN) - (character in CLOSE)
            if character == "," and depth == 0:
                found.append(part)
                part = ""
            else:
                part += character
        found.append(part)
    return tuple(text for text in (part.strip() for part in found) if text)


def counts(option: str, values: Iterable[str] | None, least: int) -> tuple[int, ...]:
    """Comma-separated whole numbers, none below `least`."""
    found = []
    for text in names(values):
        if not text.isdecimal() or int(text) < least:
            raise typer.BadParameter(
                f"{text!r} is no whole number of at least {least}", param_hint=option
            )
        found.append(int(text))
    return tuple(found)


def seconds(option: str, text: str | None) -> float | None:
    """A duration such as 5ms, 300us, 0.1s or 2h, in seconds; a bare number is seconds."""
    if text is None:
        return None
    found = DURATION.fullmatch(text.strip())
    if not found or float(found[1]) <= 0:
        raise typer.BadParameter(
            f"{text!r} is no duration; write 5ms, 300us or 0.1s", param_hint=option
        )
    return float(found[1]) * UNITS[found[2] or ""]


def half_lives(values: Iterable[str] | None) -> tuple[float, ...]:
    """Comma-separated durations in seconds, or inf."""
    found = (
        float(text) if text == "inf" else seconds("--half-life", text) for text in names(values)
    )
    return tuple(one for one in found if one is not None)


def half_life(value: str | None) -> float | None:
    """One of them."""
    return None if value is None else (half_lives([value]) or (None,))[0]


def share(option: str, text: str | None) -> tuple[int, int]:
    """`2/8` as (2, 8), the whole as (1, 1)."""
    part, _, parts = (text or "1/1").partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise typer.BadParameter(
            f"{text!r} is no part of a whole; write 1/4, 2/4, 3/4, 4/4", param_hint=option
        )
    return int(part), int(parts)
