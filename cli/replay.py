"""`uncertain replay`: learn along logs without acting, one row a log and posterior.

Not here: parsing the command line (main.py), or what is computed (decide/judge/prequential.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..decide.loop.building import agent_of, check_draws, half_life_of, remembering
from ..posteriors.base import UsageError
from .environment import Environment, ExitStatus, standard
from .options import names
from .replay_rows import percentiles, remarks, scores_of, table, versions
from .ticking import ticking

if TYPE_CHECKING:
    from ..streams.log import Log

SCHEMA = 1


@dataclass(frozen=True)
class Replay:
    """What to replay; every field is a command-line option of the same name.

    files: logs, `-` for standard input. model: its arms and features are read off the log unless
    given. posterior: comma-separated, each may carry `refine=k` of its own. rule: judged off
    policy where given. refine: k; unless given 1, but 0 where absorbing an event learns from it
    already. particles: those of a posterior that has some, and draws of a Gaussian belief.
    candidates: capacity of candidate lists, 0 to read it off the log. latency: events run live to
    time learning. half_life: seconds, a row each for every posterior that does not say its own.
    orders: random ones that the same events are learnt in besides.
    """

    files: tuple[str, ...]
    model: str = "linear"
    posterior: str = "laplace"
    rule: str | None = None
    explore: float = 0.0
    refine: int | None = None
    particles: int | None = None
    format: str | None = None
    label: str | None = None
    candidates: int = 0
    latency: int = 200
    seed: int = 0
    export_json: str | None = None
    half_life: tuple[float, ...] = ()
    orders: int = 0


def replay(options: Replay, environment: Environment | None = None) -> int:
    """Run and print; 0 when done. Raises UsageError for anything the user can put right."""
    from ..streams.files import STANDARD, check_readable, open_output
    from ..streams.ndjson import Writer

    check(options)
    check_readable(list(options.files))
    environment = environment or standard()
    console = None if options.export_json == STANDARD else environment.console()
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        writers = []
        if options.export_json:
            # Opened before any work, so that an unwritable path costs nothing.
            file = open_output(options.export_json, environment.data)
            if options.export_json != STANDARD:
                stack.enter_context(file)
            writers.append(Writer(file, live=True))
        if console is None and options.export_json != STANDARD:
            writers.append(Writer(environment.data, live=True))
        try:
            for row in measure(options, environment):
                rows.append(row)
                for writer in writers:
                    writer.write(row)
        finally:
            # What was finished is shown even when the rest is interrupted or refused.
            if console is not None and rows:
                console.print(table(rows))
                for line in remarks(rows):
                    console.print(line, highlight=False)
    return ExitStatus.DONE


def check(options: Replay) -> None:
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
    if not 0 <= options.explore <= 1:
        raise UsageError(f"--explore {options.explore}: must lie between 0 and 1")


def measure(options: Replay, environment: Environment) -> Iterator[dict[str, Any]]:
    """One row for each log and posterior."""
    posteriors = names([options.posterior])
    if not posteriors:
        raise UsageError("--posterior is empty: name at least one")
    texts = [remembering(text, h) for text in posteriors for h in options.half_life or (None,)]
    for path in options.files:
        opener = reopener(path, options, environment)
        for text in dict.fromkeys(texts):
            yield one(path, text, opener, options, environment)


def reopener(path: str, options: Replay, environment: Environment) -> Callable[[], Log]:
    """A function that opens the log, as often as asked; standard input is kept in memory."""
    from dataclasses import replace

    from ..streams.files import STANDARD
    from ..streams.formats import open_log

    log = open_log(path, options.format, options.label, environment.stdin)
    for note in log.notes:
        environment.say(f"{path}: {note}")
    if path != STANDARD:
        # The one that is open already serves first: opening it has read its first lines.
        opened = [log]
        return lambda: opened.pop() if opened else open_log(path, options.format, options.label)
    events = list(log.records)
    return lambda: replace(log, records=iter(events))


def one(
    path: str,
    text: str,
    opener: Callable[[], Log],
    options: Replay,
    environment: Environment,
) -> dict[str, Any]:
    """Replay one log under one posterior."""
    import jax

    from ..decide.judge.orders import disagreement
    from ..decide.judge.prequential import Prequential
    from ..decide.loop.replay import compile_replay, learn_latency
    from ..decide.loop.replay import replay as scores
    from ..posteriors.base import provides
    from ..posteriors.outcomes import Finite, outcome_kind
    from ..posteriors.registry import build_model, fitted
    from ..streams.encode import Encoder
    from ..streams.log import agree

    log = opener()
    resolved = fitted(options.model, log.actions)
    model = build_model(resolved)
    agree(path, log, resolved, model.actions)
    check_draws(text, "replay, which scores predictions,")
    agent, spec = agent_of(
        model, text, options.rule or "random", options.particles, options.refine,
        explore=options.explore,
    )  # fmt: skip
    kind = outcome_kind(model)

    def encoder() -> Encoder:
        capacity = options.candidates or log.offered
        timed = bool(model.latent) or half_life_of(spec) is not None
        return Encoder(model.actions, kind, log.names, capacity, timed)

    evaluate = options.rule is not None
    judge = Prequential(isinstance(kind, Finite), evaluate, provides(model, "reward"))
    key = jax.random.key(options.seed)
    compiled = compile_replay(agent, encoder(), key, evaluate)
    begin = time.perf_counter()
    with ticking(f"{path} {spec}", environment) as tick:
        for scored in scores(agent, encoder(), log.records, key, evaluate):
            judge.add(scored)
            tick(judge.nll.n)
    seconds = time.perf_counter() - begin
    report = judge.report()
    if not report.events:
        raise UsageError(f"{path}: no complete event (an action with its y) to learn from")
    latency: dict[str, float] | None = None
    if options.latency:
        again = opener()
        taken, seconds_live = learn_latency(
            agent, encoder(), islice(again.records, options.latency), key
        )
        latency, compiled = percentiles(taken), compiled + seconds_live
    order = None
    if options.orders:
        with ticking(f"{path} {spec} in other orders", environment):
            order = disagreement(agent, encoder(), opener().records, key, options.orders)
    return {
        "schema": SCHEMA,
        "log": path,
        "model": resolved,
        "posterior": spec,
        "rule": options.rule,
        "refine": agent.refine,
        "half_life": half_life_of(spec),
        **scores_of(report),
        "order": None if order is None else asdict(order),
        "learn": latency,
        "compile": compiled,
        "seconds": seconds,
        "left_out": dict(log.left_out),
        "config": asdict(options),
        "versions": versions(),
        "device": str(jax.devices()[0]),
        "seed": options.seed,
    }


__all__ = ["Replay", "replay"]
