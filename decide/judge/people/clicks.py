"""Value of clicks on devices in continuous time, compared with clicks of rules at the same times.

The gain of a click is the expected information about the graph within the next `HORIZON` seconds,
effects of earlier clicks included; not clicking has a gain too. It is a mean over futures drawn
from the belief, each absorbed exactly. One half of the futures selects the best click and the other
half values it, and the other way round, so that the best is not overestimated. A rule playing alone
clicks when the person did.

See also: posteriors/models/delays.py for the belief, published_entropies.py for a check of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array
from ....posteriors.models.delays import RELIABLE, STRENGTH, UNRELIABLE, Belief, Devices
from ....posteriors.models.published_delays import Clicks
from ....streams.people.clicks import LENGTH, Trial
from ...loop.core.rollout import seed_key

HORIZON = 5.0
"""Seconds over which a click is valued: three links of a chain."""
EVENTS = 8
"""Effects of a future at most; one that has more ends with the last of them."""
DRAWS = 32
"""Futures of each click, in two halves."""
BETWEEN = 24
"""Effects between two clicks at most, where a rule goes its own way."""
MOST_CLICKS = 6
DELAYS = {"reliable": RELIABLE, "unreliable": UNRELIABLE}
RULES = ("eig", "random")


class TrialWorth(NamedTuple):
    """Gains in one trial of T activations, in nats."""

    chosen: Any
    """`[T]`: gain of the person's click."""
    best: Any
    """`[T]`: gain of the best click."""
    random: Any
    """`[T]`: mean gain of all clicks."""
    waiting: Any
    """`[T]`: gain of not clicking."""
    counted: Any
    """`[T]`: whether the activation was a click."""
    learnt: Any
    """`[1 + rules]`: gain of the whole trial, by the person and by each rule."""
    known: Any
    """`[T]`: entropy after each activation."""


class RunningDevice(NamedTuple):
    """A device during a simulated future."""

    belief: Belief
    due: Array
    """`[n, K]`: times at which components will come on; inf for none."""
    time: Array


def _start_effects(
    devices: Devices,
    key: Array,
    running: RunningDevice,
    graph: Array,
    node: Array,
    time: Array,
    slot: Any,
) -> RunningDevice:
    """Draw the effects of an activation at `node` into column `slot`."""
    coin_key, delay_key = jax.random.split(key)
    works = jax.random.uniform(coin_key, (devices.nodes,)) < STRENGTH
    delay = devices.delay.sample_beyond(
        jax.random.uniform(delay_key, (devices.nodes,)), jnp.zeros(())
    )
    due = jnp.where(works & (graph[node] == 1), time + delay, jnp.inf)
    return running._replace(due=running.due.at[:, slot].set(due))


def _run_until(
    devices: Devices,
    key: Array,
    running: RunningDevice,
    graph: Array,
    end: Array,
    first: Any,
    events: int,
) -> RunningDevice:
    """Run until `end`, or until the last of `events` effects; fills columns from `first` on."""
    width = running.due.shape[1]

    def turn(running: RunningDevice, row: Any) -> tuple[RunningDevice, None]:
        key, number = row
        place = jnp.argmin(running.due)
        node, column = place // width, place % width
        time = running.due[node, column]
        cleared = running._replace(due=running.due.at[node, column].set(jnp.inf))
        belief = devices.observe(cleared.belief, time, node, jnp.ones((), bool))
        slot = (first + number) % width
        new = _start_effects(devices, key, cleared._replace(belief=belief), graph, node, time, slot)
        new = new._replace(time=time)
        return jax.tree.map(lambda a, b: jnp.where(time < end, a, b), new, running), None

    rows = jax.random.split(key, events), jnp.arange(events)
    running, _ = jax.lax.scan(turn, running, rows)
    over = jnp.min(running.due) >= end
    return running._replace(time=jnp.where(over, end, running.time))


def click_gains(devices: Devices, key: Array, belief: Belief, time: Array) -> Array:
    """Compute the gain of a click on each component, and of none.

    devices: with n components.
    key: random key of the futures.
    belief: about the graph.
    time: seconds, of the click.
    Returns: `[2, n + 1]` nats, by either half of the futures; the last column is no click.
    """
    count = devices.nodes
    before = devices.entropy(belief, time)

    def future(key: Array, node: Array) -> Array:
        set_key, pattern_key, late_key, click_key, run_key = jax.random.split(key, 5)
        chosen = jax.random.categorical(set_key, devices.log_parents(belief, time))
        child = jnp.arange(count)
        patterns = devices.pattern_weights(belief, time)[child, chosen]
        pattern = jax.random.categorical(pattern_key, jnp.log(patterns))
        causes = belief.causes[child, chosen]
        elapsed = jnp.where(jnp.isfinite(causes), time - causes, 0.0)
        unused = pattern[:, None] >> jnp.arange(devices.memory)[None] & 1 == 0
        chance = STRENGTH * devices.delay.survival(elapsed) / devices.no_effect(elapsed)
        uniform = jax.random.uniform(late_key, (2, *causes.shape))
        comes = unused & jnp.isfinite(causes) & (uniform[0] < chance)
        late = jnp.where(
            comes, time + devices.delay.sample_beyond(uniform[1], elapsed) - elapsed, jnp.inf
        )
        graph = devices.graph(chosen)
        due = jnp.concatenate([late, jnp.full((count, EVENTS + 1), jnp.inf)], 1)
        running = RunningDevice(belief, due, time)
        where = jnp.minimum(node, count - 1)
        clicked = running._replace(
            belief=devices.observe(belief, time, where, jnp.zeros((), bool))
        )  # fmt: skip
        clicked = _start_effects(devices, click_key, clicked, graph, where, time, devices.memory)
        running = jax.tree.map(lambda a, b: jnp.where(node < count, a, b), clicked, running)
        first = devices.memory + 1
        running = _run_until(devices, run_key, running, graph, time + HORIZON, first, EVENTS)
        return devices.entropy(running.belief, running.time)

    def every(key: Array) -> Array:
        # Common random numbers: futures differ by the click only, and so do the gains.
        return jax.vmap(lambda node: future(key, node))(jnp.arange(count + 1))

    after = jax.vmap(every)(jax.random.split(key, DRAWS))
    return before - after.reshape(2, DRAWS // 2, count + 1).mean(1)


def best_click_gain(halves: Array) -> Array:
    """Compute the gain of the best click, selected by one half of the futures, valued by the other.

    halves: gains `[2, n + 1]`, as from `click_gains`.
    Returns: `[]` nats.
    """
    clicks = halves[:, :-1]
    one, other = clicks[0], clicks[1]
    return 0.5 * (other[jnp.argmax(one)] + one[jnp.argmax(other)])


@lru_cache(maxsize=8)
def _build_worth(devices: Devices) -> Callable[..., TrialWorth]:
    """`run(seeds [N, 2], clicks [N, T], graphs [N, n, n]) -> Worth`, compiled, with an axis N."""

    def watch(key: Array, clicks: Clicks) -> tuple[Belief, Any]:
        def turn(belief: Belief, row: Any):
            time, node, effect, valid, number = row

            def asked() -> tuple[Array, ...]:
                halves = click_gains(devices, jax.random.fold_in(key, number), belief, time)
                every = halves.mean(0)
                return every[node], best_click_gain(halves), every[:-1].mean(), every[-1]

            nothing = (jnp.zeros(()),) * 4
            worth = jax.lax.cond(valid & ~effect, asked, lambda: nothing)
            after = devices.observe(belief, time, node, effect)
            belief = jax.tree.map(lambda a, b: jnp.where(valid, a, b), after, belief)
            return belief, (*worth, devices.entropy(belief, time))

        rows = (*clicks, jnp.arange(clicks.time.shape[0]))
        return jax.lax.scan(turn, devices.init(), rows)

    def alone(key: Array, informed: bool, moments: Array, graph: Array) -> Array:
        def turn(running: RunningDevice, row: Any):
            number, now, then = row
            rule_key, start_key, run_key = jax.random.split(jax.random.fold_in(key, number), 3)

            def chosen() -> Array:
                if informed:
                    return jnp.argmax(
                        click_gains(devices, rule_key, running.belief, now).mean(0)[:-1]
                    )
                return jax.random.randint(rule_key, (), 0, devices.nodes)

            def clicked() -> RunningDevice:
                node = chosen()
                belief = devices.observe(running.belief, now, node, jnp.zeros((), bool))
                slot = number * (BETWEEN + 1) % running.due.shape[1]
                begun = running._replace(belief=belief, time=now)
                begun = _start_effects(devices, start_key, begun, graph, node, now, slot)
                first = slot + 1
                return _run_until(devices, run_key, begun, graph, then, first, BETWEEN)

            return jax.lax.cond(now < LENGTH, clicked, lambda: running), None

        due = jnp.full((devices.nodes, 2 * (BETWEEN + 1)), jnp.inf)
        running = RunningDevice(devices.init(), due, jnp.zeros(()))
        after = jnp.append(moments[1:], LENGTH)
        rows = jnp.arange(len(moments)), moments, jnp.minimum(after, LENGTH)
        running, _ = jax.lax.scan(turn, running, rows)
        return devices.entropy(running.belief, jnp.asarray(LENGTH))

    def one(seed: Array, clicks: Clicks, graph: Array) -> TrialWorth:
        watch_key, *keys = jax.random.split(seed_key(seed[0], seed[1]), 1 + len(RULES))
        belief, (chosen, best, random, waiting, known) = watch(watch_key, clicks)
        counted = clicks.valid & ~clicks.effect
        moments = jnp.sort(jnp.where(counted, clicks.time, jnp.inf))[:MOST_CLICKS]
        left = [devices.entropy(belief, jnp.asarray(LENGTH))]
        for key, rule in zip(keys, RULES, strict=True):
            left.append(alone(key, rule == "eig", moments, graph))
        start = devices.entropy(devices.init(), jnp.zeros(()))
        return TrialWorth(chosen, best, random, waiting, counted, start - jnp.stack(left), known)

    return jax.jit(lambda *given: jax.lax.map(lambda row: one(*row), given))


def clicks_to_arrays(trial: Trial, length: int) -> Clicks:
    """Convert a trial's records to arrays.

    trial: with at most `length` records.
    length: of the arrays.
    """
    time, node = np.zeros(length, np.float32), np.zeros(length, np.int32)
    effect, valid = np.zeros((2, length), bool)
    for i, record in enumerate(trial.records):
        came = record.action if record.y is None else record.y
        assert isinstance(came, int | float)
        time[i], node[i] = record.t or 0.0, int(came)
        effect[i], valid[i] = record.y is not None, True
    return Clicks(time, node, effect, valid)


def value_trials(trials: Sequence[Trial], seed: int, memory: int = 6) -> list[TrialWorth]:
    """Value the clicks in trials.

    trials: of any people and devices.
    seed: of all draws.
    memory: causes of a component that the belief remembers.
    Returns: values of each trial as host arrays, in the same order.
    """
    alike: dict[tuple[str, int], list[int]] = {}
    for place, trial in enumerate(trials):
        alike.setdefault((trial.delays, trial.nodes), []).append(place)
    found: dict[int, TrialWorth] = {}
    for (delays, nodes), places in alike.items():
        length = max(1, *(len(trials[place].records) for place in places))
        given = [clicks_to_arrays(trials[place], length) for place in places]
        seeds = np.array([(seed, place) for place in places], np.uint32)
        graphs = np.stack([np.asarray(trials[place].graph, np.int32) for place in places])
        run = _build_worth(Devices(nodes, DELAYS[delays], memory))
        out = run(seeds, Clicks(*map(np.stack, zip(*given, strict=True))), graphs)
        out = jax.tree.map(np.asarray, out)
        for row, place in enumerate(places):
            found[place] = jax.tree.map(lambda x, row=row: x[row], out)
    return [found[place] for place in range(len(trials))]
