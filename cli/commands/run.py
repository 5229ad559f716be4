"""Options and help of `uncertain run`.

See also: ../live/run.py for its job, inspect.py for its checkpoint folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from ...posteriors.errors import UsageError
from ...posteriors.units import parse_duration
from ..app import command
from ..options import HalfLife, Seconds, argument, option
from ..parameter import Duration
from . import shared

DEADLINE, STOPPING, STREAMS, INPUT = "Deadline", "Stopping", "Streams", "Input"
SOCKETS, REDIS, DURABILITY, MONITORING = "Sockets", "Redis", "Durability", "Monitoring"
LEAST_CLAIM = 2.0
"""Seconds: twice the time after which a consumer renews its claim on an entry."""
ALPHA = 1e-4
"""False-alarm probability of a run; as in decide/loop/core/e_process.py, which imports JAX."""


class OnError(StrEnum):
    """Treatment of a wrong line."""

    STOP = "stop"
    """The run ends, or the connection of the client that sent it."""
    SKIP = "skip"
    """It is answered with its error, and counted."""
    QUARANTINE = "quarantine"
    """The same, and it is kept in a file."""


class Fsync(StrEnum):
    """When the log of accepted lines is synced to disk."""

    ALWAYS = "always"
    """Before each reply."""
    INTERVAL = "interval"
    """Once a second."""
    NEVER = "never"
    """When the operating system does."""


def read_every(text: str) -> int | float:
    """Read `500` lines as an integer, a time such as `10s` as seconds.

    text: as typed.
    Raises: UsageError if it is neither.
    """
    if text.isdecimal() and int(text) > 0:
        return int(text)
    try:
        return float(parse_duration(text))
    except UsageError:
        raise UsageError("neither a number of lines nor a time such as 10s or 5m") from None


@command(
    "live.run:run",
    short="Decide live: one line in, one line out.",
    examples=(
        "uncertain run --model linear:arms=10:features=16 < requests.ndjson",
        "uncertain run log.ndjson --model examples/dose.py:Dose --rule eig",
        "uncertain run --model finite --posterior exact --rule eig --until-gain 0.01",
        "uncertain run log.ndjson --on-error quarantine --quarantine wrong.ndjson",
        "uncertain run --model location --posterior smc --rule eig --deadline 2ms",
        "uncertain run --model location --posterior auto --rule eig --deadline 2ms",
        "uncertain run tcp:127.0.0.1:7000 --posterior hmc --deadline 5ms --think 200",
        "uncertain run events.ndjson --follow --on-error skip",
        "uncertain run events.ndjson --posterior smc --half-life 10m",
        "uncertain run events.ndjson --checkpoint kept --resume >> replies.ndjson",
        "uncertain run unix:run/uncertain.sock --model linear:arms=10:features=16",
        "uncertain run --model linear:arms=500:features=16 --new-arms < lines.ndjson",
        "uncertain run tcp:127.0.0.1:7000 --max-clients 20 --max-line 10000",
        "uncertain run unix:u.sock --status 5s --metrics tcp:127.0.0.1:9090",
        "uncertain run log.ndjson --model logistic --alarm 1e-6",
        "uncertain run redis://127.0.0.1:6379/0/events --checkpoint kept --resume",
        "uncertain run lines.ndjson --key-by user --streams 10000 --checkpoint kept",
    ),
)
@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Decide live: requests and observations in, one reply a line out.

    A line {"id","t","x","actions"} requests an action; {"id","y"} is its observation, which may
    come late; a line with action, propensity and y is learnt directly. Fields: docs/formats.md.
    """

    file: str = argument(
        "-", metavar="FILE",
        help="NDJSON input: a file, - for standard input, unix:PATH or tcp:HOST:PORT for a socket "
        "with many clients, redis://HOST:PORT/DB/STREAM for a Redis stream.",
    )  # fmt: skip
    model: str = shared.model("linear")
    posterior: str = shared.posterior(
        "laplace",
        f"Posterior: {shared.SPEC}; auto is the best measured one for --deadline.",
    )
    particles: int | None = shared.particles()
    refine: int | None = shared.refine()
    think: int = option(
        0, help="Maximum refine steps between two events, while no line is waiting.", least=0,
        metavar="K", group=shared.MODEL,
    )  # fmt: skip
    half_life: HalfLife | None = option(
        None, help="Halve the weight of an event after each TIME; inf keeps it.", metavar="TIME",
        group=shared.MODEL,
    )  # fmt: skip
    attend: str | None = option(
        None, help="Draws of the belief that a decision looks at; else all that are kept.",
        metavar="K", group=shared.MODEL,
    )  # fmt: skip
    seed: int = option(
        0, help="Seed of the random numbers.", least=0, most=shared.LARGEST_SEED, metavar="N",
        group=shared.MODEL,
    )  # fmt: skip
    rule: str = shared.rule("thompson")
    arms: tuple[str, ...] = option(
        (), help="Names of the arms, separated by commas; else 0, 1, ...", metavar="A,B",
        group=shared.DECISIONS,
    )  # fmt: skip
    new_arms: bool = option(
        False, help="Assign an unused arm slot to each new arm name.", group=shared.DECISIONS
    )
    proposer: str | None = shared.proposer()
    candidates: int = shared.candidates(32)
    explore: float = shared.explore(0.0)
    batch: int = option(
        1, help="Distinct actions of each decision.", least=1, metavar="Q", group=shared.DECISIONS
    )
    horizon: int = option(
        10_000, help="Decisions of a stream that may wait for their observation; beyond it the "
        "oldest is dropped.", least=1, metavar="N", group=shared.DECISIONS,
    )  # fmt: skip
    deadline: Seconds | None = option(
        None, help="Reply within this time; use fewer draws and candidates if the full decision "
        "would be late.", metavar="2ms", group=DEADLINE,
    )  # fmt: skip
    frontier: str | None = shared.frontier()
    until_gain: float | None = option(
        None, help="Stop when the best expected information gain falls below NATS.", least=0.0,
        metavar="NATS", group=STOPPING,
    )  # fmt: skip
    budget: float | None = option(
        None, help="Stop after N decisions, or when the costs of the requests add up to N.",
        least=0.0, metavar="N", group=STOPPING,
    )  # fmt: skip
    key_by: str | None = option(
        None, help="Keep a separate belief for each value of this field of the lines, such as "
        "user.", metavar="FIELD", group=STREAMS,
    )  # fmt: skip
    streams: int | None = option(
        None, help="Beliefs of --key-by in memory, else 1000; the least recently used are moved "
        "to disk.", least=1, metavar="N", group=STREAMS,
    )  # fmt: skip
    on_error: OnError = option(
        OnError.STOP, help="After a wrong line: end the run (or the client's connection), reply "
        "with the error and count it, or also append it to --quarantine.", group=INPUT,
    )  # fmt: skip
    quarantine: str = option(
        "refused.ndjson", help="NDJSON file of refused lines.", metavar="FILE", group=INPUT
    )
    max_line: int | None = option(
        None, help="Longest accepted line; else 64 MiB in a file, 1 MiB from a client or Redis.",
        least=1, metavar="BYTES", group=INPUT,
    )  # fmt: skip
    follow: bool = option(
        False, help="Wait for more lines at the end of FILE, also after it is replaced or "
        "truncated.", group=INPUT,
    )  # fmt: skip
    max_clients: int = option(
        256, help="Maximum number of connected clients.", least=1, metavar="N", group=SOCKETS
    )
    stalled: Seconds = option(
        30.0, help="Disconnect a client that reads none of its replies, or leaves a line half "
        "sent, for this time.", metavar="TIME", group=SOCKETS,
    )  # fmt: skip
    allow_remote: bool = option(
        False, help="Listen at addresses that other machines can reach; there is no "
        "authentication.", group=SOCKETS,
    )  # fmt: skip
    group: str = option(
        "uncertain", help="Consumer group of the Redis stream.", metavar="NAME", group=REDIS
    )
    consumer: str = option(
        "1", help="Consumer name in the group; each process needs its own.", metavar="NAME",
        group=REDIS,
    )  # fmt: skip
    replies: str | None = option(
        None, help="Redis stream of replies; else STREAM:replies.", metavar="KEY", group=REDIS
    )
    maxlen: int = option(
        100_000, help="Approximate number of replies kept in Redis; 0 keeps all.", least=0,
        metavar="N", group=REDIS,
    )  # fmt: skip
    claim: Annotated[float, Duration(least=LEAST_CLAIM)] | None = option(
        None, help="Claim entries pending with another consumer for longer than TIME.",
        metavar="TIME", group=REDIS,
    )  # fmt: skip
    checkpoint: str | None = option(
        None, help="Save state in this folder so that a killed run can be resumed.",
        metavar="DIR", group=DURABILITY,
    )  # fmt: skip
    every: Seconds | int = option(
        10.0, help="Checkpoint after N lines or after a time.", metavar="N|TIME", read=read_every,
        group=DURABILITY,
    )  # fmt: skip
    fsync: Fsync = option(
        Fsync.INTERVAL, help="Sync accepted lines to disk before each reply, once a second, or "
        "never. Survives a process crash in all modes; after power loss, lines that were not "
        "synced are lost.", group=DURABILITY,
    )  # fmt: skip
    resume: bool = option(
        False, help="Continue from the state in --checkpoint, if there is any.", group=DURABILITY
    )
    salvage: bool = option(
        False, help="With --resume: continue from before any damage, and set aside the rest.",
        group=DURABILITY,
    )  # fmt: skip
    status: Seconds | None = option(
        None, help="Print progress on standard error at this interval.", metavar="TIME",
        group=MONITORING,
    )  # fmt: skip
    metrics: str | None = option(
        None, help="Serve the same figures to Prometheus (needs uncertain[metrics]).",
        metavar="tcp:HOST:PORT", group=MONITORING,
    )  # fmt: skip
    alarm: float = option(
        ALPHA, help="Warn once when the model looks misspecified. ALPHA is the false-alarm "
        "probability over the whole run (anytime-valid); 0 disables, which saves some 10 µs an "
        "event.", least=0.0, most=0.5, metavar="ALPHA", group=MONITORING,
    )  # fmt: skip
    quiet: bool = option(False, help="Print no notes on standard error.", group=MONITORING)

    def __post_init__(self) -> None:
        if self.resume and self.checkpoint is None:
            raise UsageError("--resume needs a folder: --checkpoint DIR")
        if self.salvage and not self.resume:
            raise UsageError("--salvage is for a run that goes on: add --resume")
