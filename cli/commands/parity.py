"""Options and help of `uncertain parity`.

See also: ../jobs/parity.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..app import command
from ..options import argument, option
from . import shared

COLLECTION = "Collection"


@command(
    "jobs.parity:parity",
    short="Compare posteriors with reference draws of given data.",
    examples=(
        "uncertain parity posteriordb --data posteriordb --posterior hmc,smc",
        "uncertain parity inference_gym --data inference_gym --reference",
        "uncertain parity posteriordb --target sblri-blr --max-off .1",
    ),
)
@dataclass(frozen=True, kw_only=True)
class ParityOptions:
    """Compare moments of each posterior with reference draws or moments, target by target.

    A target is a model with its data, of posteriordb or the Inference Gym. --seeds runs, each with
    --refine steps after the data.
    """

    collection: str = argument(metavar="COLLECTION", help="posteriordb or inference_gym.")
    data: str | None = option(
        None, help="Folder of the collection; else COLLECTION in the folder that UNCERTAIN_DATA "
        "names.", metavar="FOLDER", group=COLLECTION,
    )  # fmt: skip
    target: tuple[str, ...] = option(
        (), help="Targets, separated by commas; all if none.", metavar="A,B", group=COLLECTION
    )
    model: str | None = option(
        None, help="Model of a single --target: FILE.py:CLASS.", metavar="NAME", group=COLLECTION
    )
    models: str | None = option(
        None, help="Folder of your own model files, NAME.py each.", metavar="FOLDER",
        group=COLLECTION,
    )  # fmt: skip
    reference: bool = option(
        False, help="Compute reference draws where the collection has none.", group=COLLECTION
    )
    posterior: tuple[str, ...] = shared.posteriors(
        help="Posteriors, separated by commas; all that can handle the target if none."
    )
    particles: tuple[int, ...] = shared.particles_grid()
    refine: tuple[int, ...] = shared.refine_grid(
        "Refine steps after the data; a row for each number. 400 if none."
    )
    seeds: int | None = option(
        None, help="Runs of each row; 16 if none.", least=1, metavar="N", group=shared.RUNS
    )
    seed: int | None = shared.seed(None)
    export_json: str | None = shared.export_json("Write the rows as NDJSON.")
    export_csv: str | None = shared.export_csv()
    export_markdown: str | None = shared.export_markdown()
    max_off: float | None = option(
        None, help="Exit 1 if a mean differs by more than this many standard deviations.",
        metavar="SD", group="Gates",
    )  # fmt: skip
