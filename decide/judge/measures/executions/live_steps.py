"""Take judged steps again with the live calls, and measure how far the two part.

The very calls that are timed start from the very states that were judged, so whatever learns or
chooses otherwise when it is judged is seen, and rounding has one step to grow in.

See also: judged_steps.py for the steps, ../../records/record.py for the verdict.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from .....posteriors.base import Array
from .....streams.worlds.base import World
from ....loop.core.compiled import build_live, learning_step
from ....loop.core.host_arrays import host_event
from ....loop.core.packing import build_packing, unpack_on_host
from ....loop.core.program_cache import cached_program
from ....loop.core.rollout import AGENT, seed_key
from ....loop.core.step import Agent, blank_request, build_step
from ....loop.server.background_refine import build_background_refine
from ...records.record import Apart
from .judged_steps import JudgedSteps

MATERIAL = 0.1
"""Share of a step's own change by which two executions may part."""
FLOOR = 1e-3
"""The same of the size of the numbers that change, for changes that are small beside them."""
FEW = 0.1
"""Share of steps that may part by more: a chain that is accepted here and rejected there."""
CLOSE = 0.01
"""Share of the spread of candidates, or of their scores, within which two are alike."""


class StepDistances(NamedTuple):
    """How far live steps part from judged ones, `[N, M]`."""

    start: np.ndarray
    """`[N]` of the states before any event, as a share of their size."""
    learnt: np.ndarray
    """Of the states after an event, as a share of its change."""
    chosen: np.ndarray
    """Bool, whether the same was offered and chosen, or something as good."""
    unmoved: np.ndarray
    """Bool, whether the event left the live belief as it was, to the last bit."""


def take_again(agent: Agent, world: World, seed: int, steps: JudgedSteps) -> StepDistances:
    """Take judged steps again, live.

    agent: that acted.
    world: that answered.
    seed: of all runs.
    steps: judged.
    Returns: the distances.
    """
    live = build_live(agent)
    blank = jax.tree.map(np.asarray, blank_request(agent))
    think = build_background_refine(agent) if agent.think else None
    layout = jax.eval_shape(build_step(agent).init, jax.random.key(0))
    believe = compile_belief(agent)
    shape = steps.number.shape
    start, learnt = np.zeros(shape[0]), np.zeros(shape)
    chosen, unmoved = np.ones(shape, bool), np.zeros(shape, bool)
    begin = jax.jit(lambda seed, run: jax.random.fold_in(seed_key(seed, run), AGENT))

    def leaves(packed: Any) -> list[np.ndarray]:
        return unpack_on_host(layout, tuple(np.asarray(part) for part in packed))

    for row, column in np.ndindex(*shape):
        at = row, column
        number = int(steps.number[at])
        before = tuple(part[at] for part in steps.before)
        if not number:
            own = live.init(begin(np.asarray(seed), int(steps.run[at])))
            start[row] = _apart(leaves(own), leaves(before))
        now = float(number)
        request = live.write_request(blank._replace(now=now, context=steps.context[at]))
        decision = live.read_decision(np.asarray(live.decide(before, request)))
        if number >= len(world.opening):
            chosen[at] = same_choice(decision, steps.features[at], steps.action[at])
        event = host_event(steps.action[at], steps.observation[at], now, number)
        after, _ = live.learn(jax.device_put(before), live.write_event(event))
        if think is not None:
            after = think(after, 0)
        learnt[at] = _apart(
            leaves(after), leaves(tuple(p[at] for p in steps.after)), leaves(before)
        )
        beliefs = [jax.tree.leaves(believe(packed, now)) for packed in (before, after)]
        unmoved[at] = all(
            np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(*beliefs, strict=True)
        )
    return StepDistances(start, learnt, chosen, unmoved)


def judge_distances(steps: JudgedSteps, found: StepDistances) -> Apart:
    """Judge whether live steps part from judged ones by more than rounding explains.

    steps: judged.
    found: distances.
    Returns: the verdict.
    """
    parted = ~(found.learnt <= MATERIAL) | ~found.chosen
    # A state may hold a note of how it began, and live steps from a judged one would go by it.
    share = max(float((~(found.start <= MATERIAL)).mean()), float(parted.mean()))
    first = None
    if share > FEW:
        first = int(steps.number[parted].min()) if (found.start <= MATERIAL).all() else 0
    return Apart(step=first, share=share, compared=parted.size)


def compile_belief(agent: Agent) -> Any:
    """Compile an agent's belief of a packed state, always drawn with the same key.

    agent: the agent.
    Returns: `(packed state, now) -> belief`.
    """
    step = learning_step(agent)
    layout = build_packing(jax.eval_shape(step.init, jax.random.key(0)))

    def believe(packed: Any, now: Array) -> Any:
        state = layout.unpack(packed)
        return agent.posterior.belief(jax.random.key(0), state.posterior, now)

    return jax.jit(cached_program(believe, f"belief {agent.name}" if agent.name else None))


def same_choice(decision: Any, features: np.ndarray, action: np.ndarray) -> bool:
    """Return whether a live decision is a judged one, or as good in its own eyes.

    decision: live.
    features: `[A, size]` candidates of the judged one.
    action: `[size]` that it chose.
    """
    offered = np.asarray(decision.features, float)
    spread = np.ptp(offered, axis=0) + 1e-9
    near = (np.abs(offered - features) <= CLOSE * spread).all(axis=1)
    if near.mean() < 1 / 2:
        return False
    scores = np.asarray(decision.scores, float)
    same = (np.abs(offered - action) <= CLOSE * spread).all(axis=1)
    if not same.any():
        return False
    best, theirs = scores[decision.index], scores[same].max()
    finite = scores[np.isfinite(scores)]
    width = np.ptp(finite) if finite.size else 0.0
    return bool(same[decision.index] or abs(best - theirs) <= CLOSE * width)


def _apart(one: list[np.ndarray], two: list[np.ndarray], before: Any = None) -> float:
    """The largest distance of two states' leaves, as a share of their change from one before."""
    worst = 0.0
    for index, (a, b) in enumerate(zip(one, two, strict=True)):
        if not a.size or np.array_equal(a, b):
            continue
        old = np.zeros_like(a) if before is None else before[index]
        a, b, old = (np.asarray(x, float) for x in (a, b, old))
        known = np.isfinite(a) & np.isfinite(b)
        if not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return np.inf
        size, gap = _size(b[known]), _size((a - b)[known])
        change = max(_size((x - old)[known & np.isfinite(old)]) for x in (a, b))
        worst = max(worst, gap / max(change, FLOOR * size, np.finfo(np.float32).tiny))
    return float(worst)


def _size(x: np.ndarray) -> float:
    """Root of the sum of squares."""
    return float(np.sqrt(np.sum(np.square(x))))
