"""`run` on the command line: its options and help.

Not here: its body (run.py), or what is kept of a run (command_inspect.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples
from .inputs import Intake, OnError
from .keeping import Fsync, Keep

LEAST_CLAIM = 2.0
"""Seconds: twice what an entry may lie at a consumer before it makes sure of it."""


@app.command(
    short_help="Decide live, one line in, one line out.",
    epilog=examples(
        "uncertain run --model linear:arms=10:features=16 --rule thompson < requests.ndjson",
        "uncertain run log.ndjson --model examples/dose.py:Dose --posterior smc --rule eig",
        "uncertain run --model finite --posterior exact --rule eig --until-gain 0.01",
        "uncertain run log.ndjson --on-error quarantine --quarantine refused.ndjson",
        "uncertain run --model location --posterior smc --rule eig --deadline 2ms",
        "uncertain run --model location --posterior auto --rule eig --deadline 2ms < lines.ndjson",
        "uncertain run tcp:127.0.0.1:7000 --posterior hmc --deadline 5ms --think 200",
        "uncertain run events.ndjson --follow --on-error skip",
        "uncertain run events.ndjson --posterior smc --half-life 600s",
        "uncertain run events.ndjson --checkpoint kept --resume >> replies.ndjson",
        "uncertain run unix:run/uncertain.sock --model linear:arms=10:features=16",
        "uncertain run --model linear:arms=500:features=16 --new-arms < requests.ndjson",
        "uncertain run tcp:127.0.0.1:7000 --max-clients 20 --max-line 10000",
        "uncertain run unix:run/uncertain.sock --status 5s --metrics tcp:127.0.0.1:9090",
        "uncertain run log.ndjson --model logistic --alarm 1e-6",
        "uncertain run redis://127.0.0.1:6379/0/events --checkpoint kept --resume",
        "uncertain run events.ndjson --key-by user --streams 10000 --checkpoint kept --resume",
    ),
)
def run(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="NDJSON in; - is standard input, unix:PATH or tcp:HOST:PORT a socket that many "
            "clients may ask at, redis://HOST:PORT/DB/STREAM a Redis stream.",
        ),
    ] = "-",
    model: o.Model = "linear",
    posterior: o.Posterior = "laplace",
    rule: o.Rule = "thompson",
    arms: Annotated[
        str | None,
        typer.Option("--arms", metavar="A,B", help="Names of the arms; else they are 0, 1, ..."),
    ] = None,
    new_arms: Annotated[
        bool,
        typer.Option(
            "--new-arms",
            help="An arm under a name not met before takes a free place of the model's.",
        ),
    ] = False,
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
    frontier: o.Frontier = None,
    think: Annotated[
        int,
        typer.Option(
            "--think",
            min=0,
            metavar="K",
            help="Refine steps between two events, at most, while no line waits to be answered.",
        ),
    ] = 0,
    half_life: o.HalfLife = None,
    key_by: Annotated[
        str | None,
        typer.Option(
            "--key-by",
            metavar="FIELD",
            help="A belief of its own for each value of this field of the lines, such as user.",
        ),
    ] = None,
    streams: Annotated[
        int | None,
        typer.Option(
            "--streams",
            min=1,
            metavar="N",
            help="How many of those are in memory (1000); those not used for longest are on disk.",
        ),
    ] = None,
    horizon: Annotated[
        int,
        typer.Option(
            "--horizon",
            min=1,
            metavar="N",
            help="Decisions that may wait for their observation, of a stream; the oldest beyond is "
            "dropped.",
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
            help="Longest line taken: 64 MiB of a file, 1 MiB of a client or Redis unless given.",
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
    group: Annotated[
        str, typer.Option("--group", metavar="NAME", help="Consumer group of the Redis stream.")
    ] = "uncertain",
    consumer: Annotated[
        str,
        typer.Option(
            "--consumer", metavar="NAME", help="Which of the group's; each process needs its own."
        ),
    ] = "1",
    replies: Annotated[
        str | None,
        typer.Option(
            "--replies", metavar="KEY", help="Redis stream of replies; STREAM:replies unless given."
        ),
    ] = None,
    maxlen: Annotated[
        int,
        typer.Option("--maxlen", min=0, metavar="N", help="Replies kept there, about; 0 for all."),
    ] = 100_000,
    claim: Annotated[
        str | None,
        typer.Option(
            "--claim",
            metavar="TIME",
            help="Take over entries that another consumer has left unanswered for as long.",
        ),
    ] = None,
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
    alarm: Annotated[
        float,
        typer.Option(
            "--alarm",
            min=0.0,
            max=0.5,
            metavar="ALPHA",
            help="Say once that the model is wrong; a right one is called so in at most this share "
            "of runs, however long. 0: do not watch it, which spares some 10 µs an event.",
        ),
    ] = 1e-4,
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
            o.seconds("--stalled", stalled) or 30.0, allow_remote, group, consumer, replies,
            maxlen, left_for(claim),
        )  # fmt: skip
        if resume and checkpoint is None:
            raise typer.BadParameter("needs a folder: --checkpoint DIR", param_hint="--resume")
        keep = None if checkpoint is None else Keep(checkpoint, every, fsync, resume)
        chosen = Run(
            str(model), str(posterior), str(rule), o.names([arms] if arms else None),
            particles, refine, proposer, candidates or 1, explore or 0.0, horizon, batch,
            until_gain, budget, seed, quiet, o.seconds("--status", status), metrics,
            deadline=o.seconds("--deadline", deadline), think=think,
            half_life=o.half_life(half_life), alarm=alarm, frontier=frontier, key_by=key_by,
            streams=streams, new_arms=new_arms, intake=intake, keep=keep,
        )  # fmt: skip
        return run(chosen, context.obj)

    return bound(context, debug, no_cache, body)


def left_for(claim: str | None) -> float | None:
    """Seconds of --claim."""
    found = o.seconds("--claim", claim)
    if found is not None and found < LEAST_CLAIM:
        raise typer.BadParameter(
            f"{claim} is too soon: a live consumer may hold an entry for {LEAST_CLAIM:.0f} s",
            param_hint="--claim",
        )
    return found
