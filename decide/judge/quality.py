"""Everything about a cell's quality, run by run: what one worker process computes.

Not here: latency (latency.py), or means and errors over runs (record.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ...posteriors.base import Array, Model
from ...posteriors.registry import build_model, options_of
from ...streams.worlds.base import World
from ...streams.worlds.registry import build_world
from ..loop.building import agent_of
from ..loop.rollout import Trace, roll
from ..loop.step import Agent
from .doubt import doubts
from .experiment import Cell, shape_of
from .fidelity import fidelity
from .gain import bounds, contrastive, exact_gain, own_log_likelihood
from .joint import joint_divergence
from .reference import PARTICLES, in_batches, kind, reference
from .regret import regrets
from .remembered import remembered

JUDGE = 1_000_003
"""Folded into the seed, so that the judge's draws are never an agent's or a world's."""
PROMISES = ("predicted", "realised", "probe_predicted", "probe_realised")
"""Measures of what was promised of an action, and of what it brought."""
WHOLE = 2000
"""Events up to which a backend remembers the whole run unless told otherwise."""


@dataclass(frozen=True)
class Wanted:
    """Which measures beside gain: samples behind the bounds, L of sPCE, taus, fidelity.

    settle: refine steps after the last event. reference: particles of the judge's own inference.
    samples 0 leaves the bounds to sPCE and sNMC, which are cheap where they do not saturate.
    gain: off where nobody will look at it, because it is the dearest measure of all.
    """

    samples: int = 2000
    reference: int = PARTICLES
    spce: int | None = None
    joint: tuple[int, ...] = ()
    fidelity: bool = False
    gain: bool = True
    settle: int = 0


def agent_and_world(cell: Cell) -> tuple[Agent, World]:
    """What a cell's strings stand for; raises UsageError for what cannot be."""
    # Cells that differ in their runs alone share an agent, and so its programs.
    return built(shape_of(cell))


@lru_cache(maxsize=64)
def built(cell: Cell) -> tuple[Agent, World]:
    """The same, built once, for a cell without its runs."""
    world, model = build_world(cell.world), build_model(cell.model)
    agent, _ = agent_of(
        model,
        cell.posterior,
        cell.rule,
        cell.particles,
        cell.refine,
        cell.proposer,
        cell.candidates,
        cell.explore,
        # A trained policy holds nothing, and has to know for how long it is wanted.
        cell.steps if cell.steps <= WHOLE or options_of(cell.posterior).rule else None,
        cell.think,
    )
    return agent, world


def quality(cell: Cell, first: int, count: int, wanted: Wanted) -> dict[str, Any]:
    """Measures of runs `first` to `first + count`, arrays with the runs leading.

    lower, upper `[N]` nats (equal where exact is true); ess `[N]`; spce, snmc `[N]`; predicted,
    realised, probe_predicted, probe_realised `[N, T]`; regret, uniform `[N]`; joint `[N, taus]`
    nats; bought, best `[N]` nats (fidelity); work `[N]` evaluations an event; failures `[N]`
    events; log_e, alarmed, within_50, within_90 `[N]` (doubt.py). Missing measures are absent.
    """
    agent, world = agent_and_world(cell)
    asked = f"{first} {count} {wanted}"
    return remembered(
        cell, agent, world.name, asked, lambda: judged(agent, world, cell, first, count, wanted)
    )


def judged(
    agent: Agent, world: World, cell: Cell, first: int, count: int, wanted: Wanted
) -> dict[str, Any]:
    """The same, judged now."""
    # What a trained policy says promises no gain.
    promises = options_of(cell.posterior).rule is None
    states, trace = roll(
        agent, world, cell.steps, cell.seed, count, first, settle=wanted.settle,
        probed=wanted.gain and promises,
    )  # fmt: skip
    runs = measured(agent, world, cell, states, trace, first, wanted)
    return runs if promises else {name: runs[name] for name in runs if name not in PROMISES}


def measured(
    agent: Agent, world: World, cell: Cell, states: Any, trace: Trace, first: int, wanted: Wanted
) -> dict[str, Any]:
    """Measures of runs that have happened. states: the agent's, for joint prediction only."""
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
        if wanted.fidelity and kind(world.model) != "none":
            found |= fidelity(agent, world, cell, first, count, wanted.reference)
    return found | regrets(world, trace) | doubts(trace)


@jax.jit
def _judge_key(seed: Array, first: Array) -> Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), JUDGE), first)


def _gain(world: World, cell: Cell, trace: Trace, key: Array, wanted: Wanted) -> dict[str, Any]:
    model = world.model
    assert model is not None
    which = kind(model)
    if which == "none":
        return {}
    if which == "sampled" and not wanted.samples:
        low = _contrasts(model, trace, key, wanted)
        return low | {"lower": low["spce"], "upper": low["snmc"]}
    past = trace.action, trace.observation, trace.probe_action, trace.probe_observation
    ref = reference(model, jax.random.fold_in(key, 0), *past, particles=wanted.reference)
    own = own_log_likelihood(model, trace.truth, trace.action, trace.observation)
    aside = probe_log_likelihood(model, trace)
    found: dict[str, Any] = {
        "realised": own - np.asarray(ref.log_marginal, float),
        "probe_realised": aside - np.asarray(ref.probe_log_marginal, float),
    }
    if which == "sampled":
        truth = trace.truth[:, -1]
        made = bounds(
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
    assert wanted.spce is not None
    past = trace.truth[:, -1], trace.action, trace.observation
    made = contrastive(model, jax.random.fold_in(key, 2), *past, wanted.spce)
    return {"spce": made.lower, "snmc": made.upper}


def probe_log_likelihood(model: Any, trace: Trace) -> np.ndarray:
    """`[N, T]` log probability, under the truth, of what each probe would have answered."""
    past = trace.truth, trace.action, trace.observation
    inputs = *past, trace.probe_action, trace.probe_observation
    return np.asarray(in_batches(_probe(model), inputs, len(trace.action)), float)


@lru_cache(maxsize=32)
def _probe(model: Any):
    from ...posteriors.unknowns import likelihood
    from .likelihood import unit_event

    def run(truth, actions, observations, probes, answers):
        def turn(stats, row):
            u, action, observation, probe, answer = row
            value = likelihood(model, u, stats, probe, answer)
            return model.update_stats(stats, unit_event(action, observation)), value

        rows = truth, actions, observations, probes, answers
        return jax.lax.scan(turn, model.init_stats(), rows)[1]

    return jax.jit(jax.vmap(run))
