"""The body of `uncertain replay`: learn along logs without acting; a row a log and posterior.

See also: decide/judge/measures/prequential.py for the scores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import islice

import jax
import numpy as np

from ...decide.judge.measures.build_record import quantiles
from ...decide.judge.measures.order_sensitivity import order_disagreement
from ...decide.judge.measures.prequential import Prequential, build_replay_record
from ...decide.judge.records.machine import replay_versions
from ...decide.judge.records.record import Quantiles
from ...decide.judge.records.replay_record import ReplayRecord
from ...decide.loop.core.agent import build_agent, check_draws, half_life_of, with_half_life
from ...decide.loop.core.replay import compile_replay, learn_latency
from ...decide.loop.core.replay import replay_records as scores
from ...posteriors.base import provides
from ...posteriors.errors import UsageError
from ...posteriors.parts.outcomes import Finite, outcome_kind
from ...posteriors.registry import build_model, fit_model_spec
from ...streams.formats.encoding import Encoder
from ...streams.formats.files import STANDARD, check_readable, open_output
from ...streams.formats.log import Log, require_same_actions
from ...streams.formats.ndjson import LineWriter
from ...streams.formats.registry import open_log
from ..commands.replay import ReplayOptions
from ..environment import Environment, ExitStatus, standard_environment
from ..parameter import split_commas
from ..tables.event_scores import event_scores
from ..tables.progress import show_event_count
from ..tables.replay_rows import list_replay_remarks, replay_table


def replay(options: ReplayOptions, environment: Environment | None = None) -> int:
    """Replay every log under every posterior and show the rows.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status.
    Raises: UsageError for wrong options or input.
    """
    _check(options)
    check_readable(list(options.files))
    environment = environment or standard_environment()
    taken = STANDARD in (options.export_json, options.export_scores)
    console = None if taken else environment.console()
    rows: list[ReplayRecord] = []
    with ExitStack() as stack:

        def writer(path: str, live: bool) -> LineWriter:
            # Opened before any work, so that an unwritable path costs nothing.
            file = open_output(path, environment.data)
            if path != STANDARD:
                stack.enter_context(file)
            return LineWriter(file, live=live)

        events = writer(options.export_scores, live=False) if options.export_scores else None
        writers = [writer(options.export_json, live=True)] if options.export_json else []
        if console is None and not taken:
            writers.append(LineWriter(environment.data, live=True))
        try:
            for row in _measure(options, environment, events):
                rows.append(row)
                for one in writers:
                    one.write(row)
        finally:
            # Finished rows are shown even if the rest is interrupted or refused.
            if console is not None and rows:
                console.print(replay_table(rows))
                for line in list_replay_remarks(rows):
                    console.print(line, highlight=False)
    return ExitStatus.DONE


def _check(options: ReplayOptions) -> None:
    """Refuse options that are out of range."""
    if not options.files:
        raise UsageError("replay needs a log: uncertain replay FILE, or - for standard input")
    if list(options.files).count("-") > 1:
        raise UsageError("standard input (-) can be read once only")
    least_of = {"refine": 0, "particles": 1, "candidates": 0, "latency": 0, "orders": 0}
    for name, least in least_of.items():
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"--{name} {value}: must be at least {least}")
    if options.export_scores and options.export_scores == options.export_json:
        raise UsageError(
            f"--export-scores {options.export_scores}: --export-json writes there; name another"
        )
    if not 0 <= options.explore <= 1:
        raise UsageError(f"--explore {options.explore}: must lie between 0 and 1")


def _measure(
    options: ReplayOptions, environment: Environment, writer: LineWriter | None
) -> Iterator[ReplayRecord]:
    """Return one row for each log and posterior; the scores of its events go to the writer."""
    posteriors = split_commas([options.posterior])
    if not posteriors:
        raise UsageError("--posterior is empty: name at least one")
    texts = [with_half_life(text, h) for text in posteriors for h in options.half_life or (None,)]
    for path in options.files:
        opener = _reopener(path, options, environment)
        for text in dict.fromkeys(texts):
            yield _one(path, text, opener, options, environment, writer)


def _reopener(path: str, options: ReplayOptions, environment: Environment) -> Callable[[], Log]:
    """Return a function that opens the log again; standard input is held in memory."""
    log = open_log(path, options.format, options.label, environment.stdin)
    for note in log.notes:
        environment.say(f"{path}: {note}")
    if path != STANDARD:
        # The log already open comes first: opening it has read its first lines.
        opened = [log]
        return lambda: opened.pop() if opened else open_log(path, options.format, options.label)
    events = list(log.records)
    return lambda: replace(log, records=iter(events))


def _one(
    path: str,
    text: str,
    opener: Callable[[], Log],
    options: ReplayOptions,
    environment: Environment,
    writer: LineWriter | None,
) -> ReplayRecord:
    """Replay one log under one posterior."""
    log = opener()
    resolved = fit_model_spec(options.model, log.actions)
    model = build_model(resolved)
    require_same_actions(path, log, resolved, model.actions)
    check_draws(text, "replay, which scores predictions,")
    agent, spec = build_agent(
        model, text, options.rule or "random", options.particles, options.refine,
        explore=options.explore,
    )  # fmt: skip
    kind = outcome_kind(model)

    def encoder() -> Encoder:
        capacity = options.candidates or log.most_candidates
        timed = bool(model.latent) or half_life_of(spec) is not None
        return Encoder(model.actions, kind, log.names, capacity, timed)

    evaluate = options.rule is not None
    judge = Prequential(isinstance(kind, Finite), evaluate, provides(model, "reward"))
    key = jax.random.key(options.seed)
    compiled = compile_replay(agent, encoder(), key, evaluate)
    begin = time.perf_counter()
    with show_event_count(f"{path} {spec}", environment) as tick:
        for scored in scores(agent, encoder(), log.records, key, evaluate):
            if writer is not None:
                for fields in event_scores(scored, judge, path, spec):
                    writer.write(fields)
            judge.add(scored)
            tick(judge.nll.n)
    seconds = time.perf_counter() - begin
    report = judge.report()
    if not report.events and report.failures:
        raise UsageError(
            f"{path}: none of {report.failures} events could be learnt, because the belief under "
            f"{spec} would not be finite: the model's density may be no number under a part of the "
            "prior, or the numbers may be too large; correct the prior, or rescale the numbers"
        )
    if not report.events:
        raise UsageError(f"{path}: no complete event (an action with its y) to learn from")
    latency: Quantiles | None = None
    if options.latency:
        again = opener()
        taken, seconds_live = learn_latency(
            agent, encoder(), islice(again.records, options.latency), key
        )
        latency, compiled = quantiles(np.asarray(taken)), compiled + seconds_live
    order = None
    if options.orders:
        with show_event_count(f"{path} {spec} in other orders", environment):
            order = order_disagreement(agent, encoder(), opener().records, key, options.orders)
    return build_replay_record(
        report,
        order,
        log=path,
        model=resolved,
        posterior=spec,
        rule=options.rule,
        refine=agent.refine,
        half_life=half_life_of(spec),
        learn=latency,
        compile=compiled,
        seconds=seconds,
        left_out=dict(log.left_out),
        config=asdict(options),
        versions=replay_versions(),
        device=str(jax.devices()[0]),
        seed=options.seed,
    )


__all__ = ["replay"]
