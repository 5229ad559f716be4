"""Options and help of `uncertain bench`.

See also: ../jobs/bench.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..app import command
from ..options import Seconds, argument, option
from . import shared
from .experiment import ExperimentOptions

GATES = "Gates"


@command(
    "jobs.bench:bench",
    short="Measure information gain against latency.",
    examples=(
        "uncertain bench",
        "uncertain bench location --posterior point,smc --particles 8,128 --seeds 16",
        "uncertain bench number-game --posterior exact --rule random,eig",
        "uncertain bench linear --half-life inf,20s --export-json -",
        "uncertain bench --max-p99 5ms --min-gain 12",
        "uncertain bench location --posterior auto --deadline 2ms",
    ),
    moved={name: f"uncertain parity {name}" for name in ("posteriordb", "inference_gym")},
)
@dataclass(frozen=True, kw_only=True)
class BenchOptions(ExperimentOptions):
    """Measure information gain against latency, one row for each posterior and setting.

    Without arguments it runs configs/default.toml: location finding. Options replace the keys of
    the configuration; lists make a grid.
    """

    world: str | None = argument(
        None, metavar="WORLD", help="World that generates the data; else the configuration's own."
    )
    config: str | None = option(
        None, help="Experiment as TOML: a file, or a built-in one by name; else default.",
        metavar="FILE|NAME", group="Experiment",
    )  # fmt: skip
    print_config: bool = option(
        False, help="Print the experiment as TOML and exit.", group="Experiment"
    )
    frontier: str | None = shared.frontier()
    max_p99: Seconds | None = option(
        None, help="Exit 1 if the p99 of decide + learn is longer in any cell.", metavar="5ms",
        group=GATES,
    )  # fmt: skip
    min_gain: float | None = option(
        None, help="Exit 1 if any cell gains less information.", metavar="NATS", group=GATES
    )
    export_json: str | None = shared.export_json()
    export_csv: str | None = shared.export_csv()
    export_markdown: str | None = shared.export_markdown()
    plot: bool = option(True, "--no-plot", help="Do not plot the frontier.", group=shared.OUTPUT)
