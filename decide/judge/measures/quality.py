"""Quality of a cell, run by run: everything that one worker process computes.

See also: latency.py for times, build_record.py for means and errors over runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ....posteriors.base import Array, Model
from ....posteriors.registry import build_model, options_class
from ....streams.worlds.base import World
from ....streams.worlds.registry import build_world
from ...loop.core.agent import build_agent
from ...loop.core.rollout import Trace, roll_out
from ...loop.core.step import Agent
from ..reference.online import PARTICLES, compute_reference, reference_kind, run_in_batches
from .alarm_rates import measure_alarms
from .baseline_cache import recall_baseline
from .executions.judged_steps import choose_steps, keep_steps, states_to_keep
from .experiment import Cell, shape_of
from .fidelity import fidelity
from .gain import contrastive_bounds, exact_gain, gain_bounds, own_log_likelihood
from .joint import joint_divergence
from .regret import regrets

JUDGE = 1_000_003
"""Folded into the seed, so that the judge's draws are never an agent's or a world's."""
PROMISES = ("predicted", "realised", "probe_predicted", "probe_realised")
"""Measures of the predicted and the realised gain of actions."""
WHOLE = 2000
"""Events up to which a backend remembers the whole run unless its spec sets a capacity."""


@dataclass(frozen=True)
class Wanted:
    """Measures to take; gain, the most expensive one, can be left out.

    With samples 0 the bounds are sPCE and sNMC, which are cheap as long as they do not saturate.
    The text of this class is part of the names of cached baselines.
    """

    samples: int = 2000
    """Draws behind the bounds."""
    reference: int = PARTICLES
    """Particles of the judge's own inference."""
    spce: int | None = None
    """L of sPCE and sNMC."""
    joint: tuple[int, ...] = ()
    """Numbers of observations predicted together."""
    fidelity: bool = False
    gain: bool = True
    settle: int = 0
    """Refine steps after the last event."""


def agent_and_world(cell: Cell) -> tuple[Agent, World]:
    """Build the agent and world that a cell's specs name.

    cell: specs and sizes.
    Returns: both; cells that differ in their runs only share them, and so their programs.
    Raises: UsageError if one cannot be built.
    """
    # Cells that differ in their runs alone share an agent, and so its programs.
    return build_cell(shape_of(cell))


@lru_cache(maxsize=64)
def build_cell(cell: Cell) -> tuple[Agent, World]:
    """Build the agent and world of a cell without its runs, once.

    cell: as `shape_of` returns it.
    Returns: both.
    """
    world, model = build_world(cell.world), build_model(cell.model)
    agent, _ = build_agent(
        model,
        cell.posterior,
        cell.rule,
        cell.particles,
        cell.refine,
        cell.proposer,
        cell.candidates,
        cell.explore,
        # A trained policy holds nothing, and has to know for how long it is wanted.
        cell.steps if cell.steps <= WHOLE or options_class(cell.posterior).rule else None,
        cell.think,
    )
    return agent, world


def quality(cell: Cell, first: int, count: int, wanted: Wanted) -> dict[str, Any]:
    """Measure runs of a cell; baselines come from a cache if it has them.

    cell: specs and sizes.
    first: number of the first run.
    count: number of runs.
    wanted: measures to take.
    Returns: arrays by name with the runs leading, missing measures left out: lower, upper `[N]`
        nats (equal if exact is true); ess `[N]`; spce, snmc `[N]`; predicted, realised,
        probe_predicted, probe_realised `[N, T]` nats; regret, uniform, reward `[N]`; joint `[N,
        taus]` nats; bought, best `[N]` nats (fidelity); work `[N]` evaluations an event; failures
        `[N]` events; log_e, alarmed, within_50, within_90 `[N]` (alarm_rates.py).
    """
    agent, world = agent_and_world(cell)
    asked = f"{first} {count} {wanted}"
    return recall_baseline(
        cell, agent, world.name, asked, lambda: judge_runs(agent, world, cell, first, count, wanted)
    )


def judge_runs(
    agent: Agent, world: World, cell: Cell, first: int, count: int, wanted: Wanted
) -> dict[str, Any]:
    """Roll a cell out and measure its runs, without the cache.

    agent: of the cell.
    world: of the cell.
    cell: specs and sizes.
    first: number of the first run.
    count: number of runs.
    wanted: measures to take.
    Returns: arrays by name, as from `quality`.
    """
    # Scores of a trained policy predict no gain.
    promises = options_class(cell.posterior).rule is None
    chosen = choose_steps(agent, cell.steps)
    states, trace = roll_out(
        agent, world, cell.steps, cell.seed, count, first, settle=wanted.settle,
        probed=wanted.gain and promises, kept=states_to_keep(chosen),
    )  # fmt: skip
    runs = measure_runs(agent, world, cell, states, trace, first, wanted)
    runs |= keep_steps(trace, chosen, first)
    return runs if promises else {name: runs[name] for name in runs if name not in PROMISES}


def measure_runs(
    agent: Agent, world: World, cell: Cell, states: Any, trace: Trace, first: int, wanted: Wanted
) -> dict[str, Any]:
    """Measure runs that were rolled out or came from live runs.

    agent: that acted.
    world: that answered.
    cell: specs and sizes.
    states: final states of the agent; None without joint prediction.
    trace: of the runs, `[N, T, ...]`.
    first: number of the first run.
    wanted: measures to take.
    Returns: arrays by name, as from `quality`.
    """
    count = len(trace.action)
    found: dict[str, Any] = {
        "work": trace.work.mean(1),
        "failures": (~trace.healthy).sum(1),
    }
    if wanted.gain:
        found |= {"predicted": trace.predicted, "probe_predicted": trace.probe_predicted}
    key = _judge_key(np.asarray(cell.seed), first)
    if world.model is not None and world.truth is not None:
        if wanted.gain:
            found |= _gain(world, cell, trace, key, wanted)
        if wanted.joint:
            found["joint"] = joint_divergence(
                agent, world, states, trace, jax.random.fold_in(key, 3), wanted.joint
            )
        if wanted.fidelity and reference_kind(world.model) != "none":
            found |= fidelity(agent, world, cell, first, count, wanted.reference)
    return found | regrets(world, trace) | measure_alarms(trace)


@jax.jit
def _judge_key(seed: Array, first: Array) -> Array:
    """Key of the judge for runs from `first` on."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), JUDGE), first)


def _gain(world: World, cell: Cell, trace: Trace, key: Array, wanted: Wanted) -> dict[str, Any]:
    """Gain of each run, with predicted and realised gain of each decision."""
    model = world.model
    assert model is not None
    which = reference_kind(model)
    if which == "none":
        return {}
    if which == "sampled" and not wanted.samples:
        low = _contrasts(model, trace, key, wanted)
        return low | {"lower": low["spce"], "upper": low["snmc"]}
    past = trace.action, trace.observation, trace.probe_action, trace.probe_observation
    ref = compute_reference(model, jax.random.fold_in(key, 0), *past, particles=wanted.reference)
    own = own_log_likelihood(model, trace.truth, trace.action, trace.observation)
    aside = _probe_log_likelihood(model, trace)
    found: dict[str, Any] = {
        "realised": own - np.asarray(ref.log_marginal, float),
        "probe_realised": aside - np.asarray(ref.probe_log_marginal, float),
    }
    if which == "sampled":
        truth = trace.truth[:, -1]
        made = gain_bounds(
            model,
            jax.random.fold_in(key, 1),
            truth,
            trace.action,
            trace.observation,
            ref,
            wanted.samples,
        )
        found |= {"lower": made.lower, "upper": made.upper, "ess": made.ess}
    else:
        gain = exact_gain(model, trace.truth, trace.action, trace.observation, ref)
        found |= {"lower": gain, "upper": gain, "exact": np.ones(len(gain), bool)}
    if wanted.spce and not model.latent:
        found |= _contrasts(model, trace, key, wanted)
    return found


def _contrasts(model: Model, trace: Trace, key: Array, wanted: Wanted) -> dict[str, Any]:
    """sPCE and sNMC of each run."""
    assert wanted.spce is not None
    past = trace.truth[:, -1], trace.action, trace.observation
    made = contrastive_bounds(model, jax.random.fold_in(key, 2), *past, wanted.spce)
    return {"spce": made.lower, "snmc": made.upper}


def _probe_log_likelihood(model: Any, trace: Trace) -> np.ndarray:
    """`[N, T]` log probability, under the truth, of each probe's answer."""
    past = trace.truth, trace.action, trace.observation
    inputs = *past, trace.probe_action, trace.probe_observation
    return np.asarray(run_in_batches(_probe(model), inputs, len(trace.action)), float)


@lru_cache(maxsize=32)
def _probe(model: Any):
    """The same, compiled."""
    from ....posteriors.parts.unknowns import log_likelihood
    from ..reference.likelihood import unit_event

    def run(truth, actions, observations, probes, answers):
        def turn(stats, row):
            u, action, observation, probe, answer = row
            value = log_likelihood(model, u, stats, probe, answer)
            return model.update_stats(stats, unit_event(action, observation)), value

        rows = truth, actions, observations, probes, answers
        return jax.lax.scan(turn, model.init_stats(), rows)[1]

    return jax.jit(jax.vmap(run))
