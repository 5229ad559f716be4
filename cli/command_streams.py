"""`run`, `inspect` and `replay` on the command line: their options and help.

Not here: their bodies (run.py, inspect.py, replay.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples
from .inputs import Intake, OnError
from .keeping import Fsync, Keep


@app.command(
    short_help="Decide live, one line in, one line out.",
    epilog=examples(
        "uncertain run --model linear:arms=10:features=16 --rule thompson < requests.ndjson",
        "uncertain run log.ndjson --model examples/dose.py:Dose --posterior smc --rule eig",
        "uncertain run --model finite --posterior exact --rule eig --until-gain 0.01",
        "uncertain run log.ndjson --on-error quarantine --quarantine refused.ndjson",
        "uncertain run --model location --posterior smc --rule eig --deadline 2ms",
        "uncertain run tcp:127.0.0.1:7000 --posterior hmc --deadline 5ms --think 200",
        "uncertain run events.ndjson --follow --on-error skip",
        "uncertain run events.ndjson --checkpoint kept --resume >> replies.ndjson",
        "uncertain run unix:run/uncertain.sock --model linear:arms=10:features=16",
        "uncertain run tcp:127.0.0.1:7000 --max-clients 20 --max-line 10000",
        "uncertain run unix:run/uncertain.sock --status 5s --metrics tcp:127.0.0.1:9090",
    ),
)
def run(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="NDJSON in; - is standard input, unix:PATH or tcp:HOST:PORT a socket that many "
            "clients may ask at.",
        ),
    ] = "-",
    model: o.Model = "linear",
    posterior: o.Posterior = "laplace",
    rule: o.Rule = "thompson",
    arms: Annotated[
        str | None,
        typer.Option("--arms", metavar="A,B", help="Names of the arms; else they are 0, 1, ..."),
    ] = None,
    particles: o.Particles = None,
    refine: o.Refine = None,
    proposer: o.Proposer = None,
    candidates: o.Candidates = 32,
    explore: o.Explore = 0.0,
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline",
            metavar="2ms",
            help="Answer each line within this, looking at less where all does not fit.",
        ),
    ] = None,
    think: Annotated[
        int,
        typer.Option(
            "--think",
            min=0,
            metavar="K",
            help="Refine steps between two events, at most, while no line waits to be answered.",
        ),
    ] = 0,
    horizon: Annotated[
        int,
        typer.Option(
            "--horizon",
            min=1,
            metavar="N",
            help="Decisions that may wait for their observation; the oldest beyond is dropped.",
        ),
    ] = 10_000,
    batch: Annotated[
        int, typer.Option("--batch", min=1, metavar="Q", help="Distinct actions a decision.")
    ] = 1,
    until_gain: Annotated[
        float | None,
        typer.Option(
            "--until-gain",
            min=0.0,
            metavar="NATS",
            help="Stop once no action is expected to gain as much.",
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            min=0.0,
            metavar="N",
            help="Stop after N decisions, or once requests' costs add up to N.",
        ),
    ] = None,
    on_error: Annotated[
        OnError,
        typer.Option(
            "--on-error",
            help="A wrong line ends the run (a client's its connection), or is answered and "
            "counted, or kept in --quarantine too.",
        ),
    ] = OnError.STOP,
    quarantine: Annotated[
        str,
        typer.Option(
            "--quarantine", metavar="FILE", help="NDJSON that refused lines are appended to."
        ),
    ] = "refused.ndjson",
    max_line: Annotated[
        int | None,
        typer.Option(
            "--max-line",
            min=1,
            metavar="BYTES",
            help="Longest line taken: 64 MiB of a file, 1 MiB of a client unless given.",
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Wait for more at the end of FILE, also after it is replaced or shortened.",
        ),
    ] = False,
    max_clients: Annotated[
        int, typer.Option("--max-clients", min=1, metavar="N", help="Clients at a time.")
    ] = 256,
    stalled: Annotated[
        str,
        typer.Option(
            "--stalled",
            metavar="TIME",
            help="Disconnect a client that reads nothing of its replies for as long.",
        ),
    ] = "30s",
    allow_remote: Annotated[
        bool,
        typer.Option(
            "--allow-remote",
            help="Listen at addresses that other machines can reach; nobody asks who they are.",
        ),
    ] = False,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            metavar="DIR",
            help="Keep in this folder all that is needed to go on after a kill.",
        ),
    ] = None,
    every: Annotated[
        str,
        typer.Option("--every", metavar="N|TIME", help="Checkpoint after N lines, or a time."),
    ] = "10s",
    fsync: Annotated[
        Fsync,
        typer.Option(
            "--fsync",
            help="Have accepted lines on the disk before each reply, each second, or whenever. A "
            "killed process loses nothing, a machine without power what is not there.",
        ),
    ] = Fsync.INTERVAL,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from what --checkpoint holds, if anything.")
    ] = False,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", metavar="TIME", help="Say on standard error every so often how it goes."
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="tcp:HOST:PORT",
            help="Show the same to Prometheus there (needs uncertain[metrics]).",
        ),
    ] = None,
    seed: o.Seed = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No notes on standard error.")] = False,
    no_cache: o.NoCache = False,
    debug: o.Debug = False,
) -> Job:
    """Decide live: requests and observations in, one reply a line out.

    A line {"id","t","x","actions"} asks for an action; {"id","y"} brings its observation, perhaps
    late; one with action, propensity and y is learnt as it is. docs/formats.md has the fields.
    """

    def body() -> int:
        from .run import Run, run

        intake = Intake(
            file, on_error, quarantine, max_line, follow, max_clients,
            o.seconds("--stalled", stalled) or 30.0, allow_remote,
        )  # fmt: skip
        if resume and checkpoint is None:
            raise typer.BadParameter("needs a folder: --checkpoint DIR", param_hint="--resume")
        keep = None if checkpoint is None else Keep(checkpoint, every, fsync, resume)
        chosen = Run(
            str(model), str(posterior), str(rule), o.names([arms] if arms else None),
            particles, refine, proposer, candidates or 1, explore or 0.0, horizon, batch,
            until_gain, budget, seed, quiet, o.seconds("--status", status), metrics,
            deadline=o.seconds("--deadline", deadline), think=think, intake=intake, keep=keep,
        )  # fmt: skip
        return run(chosen, context.obj)

    return bound(context, debug, no_cache, body)


@app.command(
    short_help="Show what a folder of run --checkpoint holds.",
    epilog=examples("uncertain inspect kept", "uncertain inspect kept | jq .step"),
)
def inspect(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="As given to run --checkpoint.")],
    debug: o.Debug = False,
) -> Job:
    """Show checkpoints and log of a run: identity, steps, waiting decisions, place in the input,
    size, age, and what is damaged (exit code 1).
    """

    def body() -> int:
        from .inspect import inspect as run

        return run(folder, context.obj)

    return bound(context, debug, True, body)


@app.command(
    short_help="Learn along logs without acting.",
    epilog=examples(
        "uncertain replay log.ndjson --posterior point,laplace",
        "uncertain replay all.csv.gz --model logistic --rule thompson --export-json rows.ndjson",
        "uncertain replay table.csv --label y --model logistic",
    ),
)
def replay(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILES", help="Logs; - is stdin.")],
    model: o.Model = "linear",
    posterior: o.Posteriors = None,
    rule: o.Rule = None,
    explore: o.Explore = 0.0,
    refine: o.Refine = None,
    particles: o.Particles = None,
    format: o.Format = None,
    label: o.Label = None,
    candidates: Annotated[
        int,
        typer.Option("--candidates", min=0, metavar="N", help="Most candidates of one event."),
    ] = 0,
    latency: Annotated[
        int, typer.Option("--latency", min=0, metavar="N", help="Events learnt live, to time it.")
    ] = 200,
    export_json: Annotated[
        str | None,
        typer.Option("--export-json", metavar="FILE", help="One NDJSON row a log and posterior."),
    ] = None,
    seed: o.Seed = 0,
    no_cache: o.NoCache = False,
    debug: o.Debug = False,
) -> Job:
    """Learn along logs without acting: log loss, information, the value of a rule, latency.

    One row a log and posterior. --rule is judged off policy: what would its decisions have been
    worth, and is the log able to tell?
    """

    def body() -> int:
        from .replay import Replay, replay

        chosen = Replay(
            tuple(files), str(model), ",".join(posterior or ["laplace"]), rule, explore or 0.0,
            refine, particles, format, label, candidates, latency, seed, export_json,
        )  # fmt: skip
        return replay(chosen, context.obj)

    return bound(context, debug, no_cache, body)
