"""`uncertain run`: decide live, one line in, one line out.

Not here: joining observations to decisions (decide/loop/serve.py), or the line format
(streams/ndjson.py).
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..decide.loop.building import agent_of, half_life_of
from ..posteriors.base import Arms, UsageError
from ..posteriors.loading import parse
from .arms import check_arms, places, with_arms
from .environment import Environment, ExitStatus
from .inputs import Intake, OnError
from .keeping import LOOK, Keep, Kept, keeping
from .tallied import summary

if TYPE_CHECKING:
    from ..decide.loop.serve import Server
    from ..decide.loop.step import Agent
    from ..posteriors.base import Model
    from ..streams.arriving import Arrival, Input
    from ..streams.refused import Refusals
    from ..streams.spilled import Spilled
    from .alarming import Alarming
    from .watching import Watch

ALPHA = 1e-4
"""The chance of a false alarm in a run, however long; as in decide/loop/alarm.py, which would load
all of JAX here."""
MILLISECONDS = 1e3
"""In one second."""


@dataclass(frozen=True)
class Run:
    """What to run; every field is a command-line option of the same name, but for the last two."""

    model: str = "linear"
    posterior: str = "laplace"
    rule: str = "thompson"
    arms: tuple[str, ...] = ()
    particles: int | None = None
    refine: int | None = None
    proposer: str | None = None
    candidates: int = 32
    explore: float = 0.0
    horizon: int = 10_000
    batch: int = 1
    until_gain: float | None = None
    budget: float | None = None
    seed: int = 0
    quiet: bool = False
    status: float | None = None
    metrics: str | None = None
    deadline: float | None = None
    think: int = 0
    half_life: float | None = None
    alarm: float = ALPHA
    frontier: str | None = None
    key_by: str | None = None
    streams: int | None = None
    new_arms: bool = False
    intake: Intake = field(default_factory=Intake)
    keep: Keep | None = None


def run(options: Run, environment: Environment) -> int:
    """Answer every line until the input ends; UsageError for a wrong one that ends the run."""
    from ..streams.ndjson import Writer
    from .alarming import Alarming
    from .auto import with_choice
    from .inputs import opened, refusals_of
    from .many import check, spilling, stream_notes
    from .metrics import exposed
    from .runtime import hurry
    from .watching import Watch

    check(options)
    hurry(options.deadline)
    tell = (lambda text: None) if options.quiet else environment.say
    options = with_choice(options, environment, tell)
    refusals = refusals_of(options.intake, options.key_by)
    sink = Writer(environment.data, live=True)
    remote = options.intake.allow_remote
    with (
        opened(options.intake, environment, sink, tell) as source,
        exposed(options.metrics, remote, tell) as expose,
        spilling(options) as store,
    ):
        server = prepared(options, store)
        # What exists now stays; without this the collector would walk all of JAX now and then.
        gc.collect()
        gc.freeze()
        tell(f"ready after {server.compile:.1f} s of compilation")
        if server.many is not None:
            tell(f"up to {server.many.agent.rows:,} streams of {server.many.bytes:,} B in memory")
        if server.thoughts is not None and not server.thoughts.fits:
            tell(
                f"not thinking: a refine step takes {server.thoughts.seconds * MILLISECONDS:.1f} "
                "ms, which would leave too little of the deadline"
            )
        watch = None
        if options.status is not None or options.metrics is not None:
            watch = Watch(server, source, refusals, options.status, environment.say)
            expose(watch)
        with keeping(options, server, environment, tell) as kept:
            alarming = Alarming(server, options.alarm, tell)
            serve(server, source, refusals, options.intake.on_error, kept, watch, alarming)
    if server.stopped is not None:
        tell(f"stopped: {server.stopped}")
    told = (
        *summary(server.tally, server.waiting), *places(server.encoder.slots),
        *stream_notes(server.many), *refusals.summary(), *source.notes(),
    )  # fmt: skip
    for line in (*told, *(kept.summary() if kept else ())):
        tell(line)
    return ExitStatus.DONE


def serve(
    server: Server,
    source: Input,
    refusals: Refusals,
    on_error: OnError,
    kept: Kept | None = None,
    watch: Watch | None = None,
    alarming: Alarming | None = None,
) -> None:
    """Answer whoever asks, until the input ends, the server stops or a run that is kept is asked
    to end."""
    from ..streams.keyed import decoder
    from ..streams.record import LineError
    from ..streams.refused import too_long

    decode = decoder(server.many.field if server.many else None)
    while server.stopped is None and not (kept and kept.asked):
        pause = watch.pause() if watch else None
        arrival, began = next_line(server, source, LOOK if kept else pause)
        if arrival is None:
            if source.ended:
                return
            continue
        if kept and kept.skips(arrival):
            continue
        try:
            if arrival.length > source.longest:
                raise too_long(arrival, source.longest)
            if arrival.wrong is not None:
                raise arrival.wrong
            record = decode(arrival.line, arrival.where)
            # A client's deadline counts from when its line was read, not from its turn; what came
            # while the server was thinking may have come at once.
            since = arrival.arrived if began is None else began
            reply = kept.answer(record, arrival) if kept else server.answer(record, since)
        except LineError as error:
            if on_error == OnError.STOP:
                source.dismiss(arrival, error)
            reply = refusals.refuse(arrival, error)
        if reply is not None:
            arrival.sink.write(reply)
            if watch:
                watch.saw(reply)
            if alarming:
                alarming.saw(arrival)
        if kept:
            kept.sent()


def next_line(
    server: Server, source: Input, seconds: float | None
) -> tuple[Arrival | None, int | None]:
    """The next line, None where none comes within `seconds`; the server thinks until it comes.

    And when the slice of thinking before it began, by `time.perf_counter_ns`, if there was one.
    """
    began = None
    until = None if seconds is None else time.monotonic() + seconds
    while server.thoughtful:
        if (arrival := source.take(0.0)) is not None:
            return arrival, began
        if source.ended or (until is not None and time.monotonic() >= until):
            return None, None
        began = time.perf_counter_ns()
        server.think()
    left = None if until is None else max(until - time.monotonic(), 0.0)
    if began is not None and (arrival := source.take(0.0)) is not None:
        return arrival, began
    return source.take(left), None


def prepared(options: Run, store: Spilled | None = None) -> Server:
    """The agent, compiled and at its prior. store: of streams, with --key-by."""
    from ..decide.loop.serve import Server
    from ..decide.loop.stopping import Stopping
    from ..decide.rules.registry import build_rule, informs
    from ..posteriors.outcomes import outcome_kind
    from ..posteriors.registry import build_model
    from ..streams.encode import Encoder

    model = build_model(with_arms(options))
    space = model.actions
    check_arms(options, space)
    agent, spec = agent_for(options, model)
    if options.until_gain is not None and not informs(options.rule):
        raise UsageError(
            f"--until-gain needs a rule that says what it expects to gain; {options.rule} does "
            "not: use eig or ids"
        )
    if options.batch > 1 and options.deadline is not None:
        raise UsageError("--deadline decides one action at a time: leave --batch out")
    if options.batch > 1:
        agent = with_batch(agent, options)
    capacity = 0 if isinstance(space, Arms) else options.candidates
    timed = bool(model.latent) or half_life_of(spec) is not None
    kind = outcome_kind(model)
    encoder = Encoder(space, kind, options.arms, capacity, timed, options.new_arms)
    rule = parse(options.rule)
    many = None
    if options.key_by is not None:
        from .many import many_of

        assert store is not None
        many = many_of(agent, options, store)
        agent = many.agent
    return Server(
        agent,
        encoder,
        options.seed,
        spec,
        informs=informs(options.rule),
        per_cost=bool(dict(rule.settings).get("per_cost", False)),
        horizon=options.horizon,
        batch=options.batch,
        stopping=Stopping(options.until_gain, options.budget),
        deadline=options.deadline,
        rule_of=lambda draws: build_rule(options.rule, model, options.explore, draws),
        think=options.think,
        watched=options.alarm > 0,
        many=many,
    )


def agent_for(options: Run, model: Model) -> tuple[Agent, str]:
    """The agent of single actions, and its posterior's spec without `refine`."""
    return agent_of(
        model, options.posterior, options.rule, options.particles, options.refine,
        options.proposer, options.candidates, options.explore, think=int(options.think > 0),
        half_life=options.half_life,
    )  # fmt: skip


def with_batch(agent: Agent, options: Run) -> Agent:
    """The agent, its rule choosing several actions at once."""
    from ..decide.loop.step import candidate_count
    from ..decide.rules.registry import build_batch
    from ..posteriors.outcomes import Other, outcome_kind

    count, model = options.batch, agent.model
    if count > candidate_count(agent):
        known = "arms" if isinstance(model.actions, Arms) else "candidates"
        raise UsageError(f"--batch {count}: there are {candidate_count(agent)} {known}")
    kind = outcome_kind(model)
    if isinstance(kind, Other) and kind.shape:
        raise UsageError(f"--batch {count}: model {options.model} observes a vector each time")
    rule = build_batch(options.rule, model, count, options.explore, options.particles)
    return agent._replace(rule=rule)


__all__ = ["Run", "run"]
