"""The body of `uncertain run`: decide live, one line in, one line out.

See also: decide/loop/server/server.py for joining observations to decisions,
streams/formats/ndjson.py for the format of lines.
"""

from __future__ import annotations

import gc
import time

from ...decide.loop.core.agent import half_life_of
from ...decide.loop.core.step import Agent, candidate_count
from ...decide.loop.server.server import Server
from ...decide.loop.server.stopping import Stopping
from ...decide.rules.registry import build_batch, build_rule, rule_entry, rule_option
from ...posteriors.base import Arms
from ...posteriors.errors import UsageError
from ...posteriors.parts.outcomes import Other, outcome_kind
from ...posteriors.registry import build_model
from ...posteriors.units import MS_PER_S
from ...streams.formats.encoding import Encoder
from ...streams.formats.keyed import build_decoder
from ...streams.formats.ndjson import LineWriter
from ...streams.formats.record import LineError
from ...streams.inputs.base import Arrival, Input
from ...streams.inputs.rejected import RejectedLines, too_long_error
from ...streams.storage.spill import Spill
from ..commands.run import OnError, RunOptions
from ..environment import Environment, ExitStatus
from ..runtime import hurry
from .alarm import AlarmWarning
from .arms import agent_for, check_arms, format_arm_count, with_arms
from .checkpointing import LOOK, DurableRun, make_durable
from .inputs import open_input, refusals_of
from .keyed import build_keyed_streams, check_key_options, open_spill, stream_notes
from .metrics import serve_metrics
from .status import Watch
from .summary import format_counters


def run(options: RunOptions, environment: Environment) -> int:
    """Answer every line until the input ends.

    options: of the command.
    environment: streams and clock.
    Raises: UsageError for a wrong line under `--on-error stop`.
    """
    # Only `--posterior auto` needs the judge, which takes a while to import.
    from .auto_posterior import with_choice

    check_key_options(options)
    hurry(options.deadline)
    tell = (lambda text: None) if options.quiet else environment.say
    options = with_choice(options, environment, tell)
    refusals = refusals_of(options, options.key_by)
    sink = LineWriter(environment.data, live=True)
    remote = options.allow_remote
    with (
        open_input(options, environment, sink, tell) as source,
        serve_metrics(options.metrics, remote, tell) as expose,
        open_spill(options, environment.say) as store,
    ):
        server = build_server(options, store)
        # Without this the collector would walk all objects of JAX now and then.
        gc.collect()
        gc.freeze()
        tell(f"ready after {server.compile:.1f} s of compilation")
        if server.keyed is not None:
            tell(f"up to {server.keyed.agent.rows:,} streams of {server.keyed.bytes:,} B in memory")
        if server.background is not None and not server.background.fits:
            tell(
                f"not thinking: a refine step takes {server.background.seconds * MS_PER_S:.1f} "
                "ms, which would leave too little of the deadline"
            )
        watch = None
        if options.status is not None or options.metrics is not None:
            watch = Watch(server, source, refusals, options.status, environment.say)
            expose(watch)
        with make_durable(options, server, environment, tell) as durable_run:
            alarm = AlarmWarning(server, options.alarm, tell)
            serve(server, source, refusals, options.on_error, durable_run, watch, alarm)
    if server.stopped is not None:
        tell(f"stopped: {server.stopped}")
    notes = (
        *format_counters(server.counters, server.pending),
        *format_arm_count(server.encoder.arm_slots),
        *stream_notes(server.keyed), *refusals.summary(), *source.notes(),
    )  # fmt: skip
    for line in (*notes, *(durable_run.summary() if durable_run else ())):
        tell(line)
    return ExitStatus.DONE


def serve(
    server: Server,
    source: Input,
    refusals: RejectedLines,
    on_error: OnError,
    durable_run: DurableRun | None = None,
    watch: Watch | None = None,
    alarm: AlarmWarning | None = None,
) -> None:
    """Answer lines until the input ends, the server stops, or a signal asks to end.

    server: the live server.
    source: the input.
    refusals: counts and keeps refused lines.
    on_error: reaction to a wrong line.
    durable_run: the durable run of `--checkpoint`.
    watch: counts for `--status` and `--metrics`.
    alarm: warns of a misspecified model.
    """
    decode = build_decoder(server.keyed.field if server.keyed else None)
    while server.stopped is None and not (durable_run and durable_run.end_requested):
        pause = watch.pause() if watch else None
        arrival, began = next_line(server, source, LOOK if durable_run else pause)
        if arrival is None:
            if source.ended:
                return
            continue
        if durable_run and durable_run.is_done(arrival):
            continue
        try:
            if arrival.length > source.longest:
                raise too_long_error(arrival, source.longest)
            if arrival.wrong is not None:
                raise arrival.wrong
            record = decode(arrival.line, arrival.where)
            # The deadline of a client counts from the arrival of its line. Lines that came while
            # the server was refining may have come at once.
            since = arrival.arrived if began is None else began
            reply = (
                durable_run.answer(record, arrival) if durable_run else server.answer(record, since)
            )
        except LineError as error:
            if on_error == OnError.STOP:
                source.dismiss(arrival, error)
            reply = refusals.reject(arrival, error)
        if reply is not None:
            arrival.sink.write(reply)
            if watch:
                watch.count_reply(reply)
            if alarm:
                alarm.warn_if_raised(arrival)
        if durable_run:
            durable_run.note_sent()


def next_line(
    server: Server, source: Input, seconds: float | None
) -> tuple[Arrival | None, int | None]:
    """Wait for the next line, refining in the meantime.

    server: refines while no line waits.
    source: the input.
    seconds: how long to wait, None for ever.
    Returns: the line or None; the start of the last refine step (`perf_counter_ns`) or None.
    """
    began = None
    until = None if seconds is None else time.monotonic() + seconds
    while server.can_refine:
        if (arrival := source.take(0.0)) is not None:
            return arrival, began
        if source.ended or (until is not None and time.monotonic() >= until):
            return None, None
        began = time.perf_counter_ns()
        server.refine_once()
    left = None if until is None else max(until - time.monotonic(), 0.0)
    if began is not None and (arrival := source.take(0.0)) is not None:
        return arrival, began
    return source.take(left), None


def build_server(options: RunOptions, store: Spill | None = None) -> Server:
    """Build and compile the server at its prior.

    options: of the command.
    store: of spilled streams, with `--key-by`.
    Raises: UsageError if options do not fit the model or each other.
    """
    model = build_model(with_arms(options))
    space = model.actions
    check_arms(options, space)
    agent, spec = agent_for(options, model)
    if options.until_gain is not None and not rule_entry(options.rule).informs:
        raise UsageError(
            f"--until-gain needs a rule that says what it expects to gain; {options.rule} does "
            "not: use eig or ids"
        )
    if options.batch > 1 and options.deadline is not None:
        raise UsageError("--deadline decides one action at a time: leave --batch out")
    if options.batch > 1:
        agent = _with_batch(agent, options)
    capacity = 0 if isinstance(space, Arms) else options.candidates
    timed = bool(model.latent) or half_life_of(spec) is not None
    kind = outcome_kind(model)
    encoder = Encoder(space, kind, options.arms, capacity, timed, options.new_arms)
    many = None
    if options.key_by is not None:
        assert store is not None
        many = build_keyed_streams(agent, options, store)
        agent = many.agent
    return Server(
        agent,
        encoder,
        options.seed,
        spec,
        informs=rule_entry(options.rule).informs,
        per_cost=bool(rule_option(options.rule, "per_cost")),
        horizon=options.horizon,
        batch=options.batch,
        stopping=Stopping(options.until_gain, options.budget),
        deadline=options.deadline,
        rule_of=lambda draws: build_rule(options.rule, model, options.explore, draws),
        think=options.think,
        watched=options.alarm > 0,
        keyed=many,
    )


def _with_batch(agent: Agent, options: RunOptions) -> Agent:
    """Return the agent with a rule that chooses several actions at once."""
    count, model = options.batch, agent.model
    if count > candidate_count(agent):
        known = "arms" if isinstance(model.actions, Arms) else "candidates"
        raise UsageError(f"--batch {count}: there are {candidate_count(agent)} {known}")
    kind = outcome_kind(model)
    if isinstance(kind, Other) and kind.shape:
        raise UsageError(f"--batch {count}: model {options.model} observes a vector each time")
    rule = build_batch(options.rule, model, count, options.explore, options.particles)
    return agent._replace(rule=rule)


__all__ = ["run"]
