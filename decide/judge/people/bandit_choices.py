"""Value of people's choices at the time they made them, compared with the choices of rules.

Every problem of a person is replayed under an exact belief that starts from the prior: before each
choice all arms are scored, and every rule makes its choice there. Then each rule plays the same
problem alone for as many choices. An unknown truth is drawn from the observer's belief after the
person's last observation.

See also: summaries.py for sums over people, clicks.py for choices in continuous time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Arms, Array, Belief, Draws, Event, Model, provides
from ....posteriors.errors import UsageError
from ....posteriors.parts.outcomes import outcome_kind, sample_outcome
from ....posteriors.registry import build_model, build_posterior
from ....streams.formats.encoding import Encoder
from ....streams.people.base import Problem
from ...loop.core.rollout import seed_key
from ...rules.base import Candidates
from ...rules.information import belief_gain, predict_at
from ...rules.registry import build_rule

CHUNK = 32
"""Problems a call; the last batch is filled up with weight 0, so that one program serves all."""
SIDE_BY_SIDE, FEW = 8, 16
"""Of them, problems computed side by side where there are few arms. Where there are more, products
of matrices fill a core by themselves, and some at once are slower than one after another."""
WATCH, TRUTH, ALONE = range(3)
"""Purposes folded into a problem's key."""


class ProblemWorth(NamedTuple):
    """Gains, in nats, and regrets of T choices in one problem, by the person and by R rules."""

    chosen: Any
    """`[T]`: gain of the person's choice."""
    best: Any
    """`[T]`: gain of the best arm."""
    random: Any
    """`[T]`: mean gain of all arms."""
    counted: Any
    """`[T]`: whether the person was free to choose."""
    rules: Any
    """`[R, T]`: gain of the choice that each rule would make there."""
    learnt: Any
    """`[1 + R]`: gain of the whole problem, by the person and by each rule playing alone, without
    that of choices that were given."""
    regret: Any
    """`[1 + R]`: sum over choices of the best arm's mean minus the chosen one's; 0 if the truth is
    not known."""
    uniform: Any
    """`[]`: regret of uniformly random choices; 0 if the truth is not known."""


def _entropy(log_weights: Array) -> Array:
    """Entropy `[]` of normalised log weights, nats."""
    weights = jnp.exp(log_weights)
    return -jnp.sum(jnp.where(weights > 0, weights * log_weights, 0.0))


@lru_cache(maxsize=64)
def _build_watch(
    model_text: str, posterior_text: str, rules: tuple[str, ...]
) -> Callable[..., Any]:
    """`run(seeds [N], actions [N, T, size], observations [N, T], weights [N, T], opening [N],
    truth [N, A]) -> Watched`, compiled, with a leading axis N."""
    model = build_model(model_text)
    posterior = build_posterior(posterior_text, model)
    space = model.actions
    assert isinstance(space, Arms)
    arms = np.zeros((space.count, space.size))
    arms[:, 0] = np.arange(space.count)
    chooses = [build_rule(text, model) for text in rules]
    known = provides(model, "linear")

    def offered() -> Candidates:
        everything = jnp.ones(space.count)
        return Candidates(jnp.asarray(arms, everything.dtype), everything > 0, everything)

    def gains(key: Array, belief: Belief, features: Array) -> Array:
        return belief_gain(key, model, belief, (), features, 1)

    def seen(action: Array, observation: Array, index: Array, weight: Array) -> Event:
        return Event(action, observation, index.astype(weight.dtype), index, weight)

    def absorb(key: Array, state: Any, event: Event) -> Any:
        return posterior.absorb(key, state, jax.tree.map(lambda x: x[None], event))

    def answer(key: Array, truth: Array, action: Array) -> Array:
        if known:
            noise = model.linear(action)[1]
            return truth[action[0].astype(jnp.int32)] + noise * jax.random.normal(key)
        observation = sample_outcome(key, predict_at(model, truth, (), action))
        return observation.astype(action.dtype)

    def ends(start: Belief, end: Belief, gained: Array) -> Array:
        """Nats learnt. An exact Gaussian's gain is as predicted, independent of observations."""
        if isinstance(end, Draws) and isinstance(start, Draws):
            return _entropy(start.log_weights) - _entropy(end.log_weights)
        return gained

    def watch(key, events: Event):
        def turn(state: Any, event: Event):
            belief_key, gain_key, learn_key, key = jax.random.split(
                jax.random.fold_in(keys, event.id), 4
            )
            belief = posterior.belief(belief_key, state, event.time)
            every = gains(gain_key, belief, offered().features)
            asked = [
                rule(jax.random.fold_in(key, i), belief, model, (), offered()).propensity @ every
                for i, rule in enumerate(chooses)
            ]
            taken = every[event.action[0].astype(jnp.int32)]
            found = taken, jnp.max(every), jnp.mean(every), jnp.stack([*asked])
            return absorb(learn_key, state, event), found

        first, keys = jax.random.split(key)
        state, found = jax.lax.scan(turn, posterior.init(first), events)
        return state, found

    def alone(key, rule, events: Event, counted: Array, truth: Array):
        """Nats that a rule learns, and the arms that it takes `[T]`."""

        def turn(carry: Any, event: Event):
            state, gained = carry
            belief_key, rule_key, see_key, gain_key, learn_key = jax.random.split(
                jax.random.fold_in(keys, event.id), 5
            )
            belief = posterior.belief(belief_key, state, event.time)
            choice = rule(rule_key, belief, model, (), offered())
            given = ~counted[event.id]
            action = jnp.where(given, event.action, offered().features[choice.index])
            observation = jnp.where(given, event.observation, answer(see_key, truth, action))
            if known:
                own = gains(gain_key, belief, action[None])[0]
                gained = gained + jnp.where(counted[event.id], own, 0.0)
            event = seen(action, observation, event.id, event.weight)
            return (absorb(learn_key, state, event), gained), action[0].astype(jnp.int32)

        first, before_key, after_key, keys = jax.random.split(key, 4)
        start = posterior.init(first)
        (state, gained), taken = jax.lax.scan(turn, (start, jnp.zeros(())), events)
        before = posterior.belief(before_key, start, jnp.zeros(()))
        after = posterior.belief(after_key, state, jnp.zeros(()))
        return ends(before, after, gained), taken

    def one(seed, actions, observations, weights, opening, means):
        watch_key, truth_key, alone_key = (
            jax.random.fold_in(seed_key(seed[0], seed[1]), purpose)
            for purpose in (WATCH, TRUTH, ALONE)
        )
        index = jnp.arange(len(weights), dtype=jnp.int32)
        events = jax.vmap(seen)(actions, observations, index, weights)
        counted = (weights > 0) & (index >= opening)
        state, (chosen, best, random, asked) = watch(watch_key, events)
        end_key, init_key, start_key, draw_key = jax.random.split(truth_key, 4)
        end = posterior.belief(end_key, state, jnp.zeros(()))
        start = posterior.belief(start_key, posterior.init(init_key), jnp.zeros(()))
        truth = means
        if not known:
            assert isinstance(end, Draws)
            truth = end.values[jax.random.categorical(draw_key, end.log_weights)]
        learnt = [ends(start, end, jnp.sum(jnp.where(counted, chosen, 0.0)))]
        paths = [actions[:, 0].astype(jnp.int32)]
        for i, rule in enumerate(chooses):
            found, taken = alone(jax.random.fold_in(alone_key, i), rule, events, counted, truth)
            learnt.append(found)
            paths.append(taken)
        short = jnp.max(means) - means
        regret = [jnp.sum(jnp.where(counted, short[path], 0.0)) for path in paths]
        uniform = jnp.sum(counted) * jnp.mean(short)
        return ProblemWorth(
            chosen, best, random, counted, asked.T, jnp.stack(learnt), jnp.stack(regret), uniform
        )

    def run(*given: Array) -> ProblemWorth:
        batch = SIDE_BY_SIDE if space.count <= FEW else None
        return jax.lax.map(lambda row: one(*row), given, batch_size=batch)

    return jax.jit(run)


def value_problems(
    problems: Sequence[Problem], rules: tuple[str, ...], seed: int
) -> list[ProblemWorth]:
    """Value the choices in problems.

    problems: of any people and models.
    rules: specs of the rules to compare with.
    seed: of all draws.
    Returns: values of each problem as host arrays, in the same order.
    Raises: UsageError if a record does not fit the model of its problem.
    """
    alike: dict[tuple[str, str], list[int]] = {}
    for place, problem in enumerate(problems):
        alike.setdefault((problem.model, problem.posterior), []).append(place)
    found: dict[int, ProblemWorth] = {}
    for (model_text, posterior_text), places in alike.items():
        model = build_model(model_text)
        run = _build_watch(model_text, posterior_text, rules)
        turns = max(len(problems[place].records) for place in places)
        for first in range(0, len(places), CHUNK):
            some = places[first : first + CHUNK]
            given = _arrays([problems[place] for place in some], some, model, turns, seed)
            out = jax.tree.map(np.asarray, run(*given))
            for row, place in enumerate(some):
                found[place] = jax.tree.map(lambda x, row=row: x[row], out)
    return [found[place] for place in range(len(problems))]


def _arrays(
    problems: list[Problem], places: list[int], model: Model, turns: int, seed: int
) -> tuple[np.ndarray, ...]:
    """Arguments of `run`, padded to `CHUNK` problems of `turns` events."""
    space = model.actions
    assert isinstance(space, Arms)
    encoder = Encoder(space, outcome_kind(model))
    real = np.dtype(jnp.result_type(float))
    seeds = np.zeros((CHUNK, 2), np.uint32)
    actions = np.zeros((CHUNK, turns, space.size), real)
    observations, weights = np.zeros((2, CHUNK, turns), real)
    opening = np.zeros(CHUNK, np.int32)
    truth = np.zeros((CHUNK, space.count), real)
    for row, (problem, place) in enumerate(zip(problems, places, strict=True)):
        seeds[row], opening[row] = (seed, place), problem.opening
        for turn, record in enumerate(problem.records):
            actions[row, turn] = encoder.action(record)
            observations[row, turn] = encoder.observation(record)
            weights[row, turn] = record.weight
        if provides(model, "linear"):
            if len(problem.truth) != space.count:
                raise UsageError(
                    f"problem of {problem.person}: {len(problem.truth)} true means for "
                    f"{space.count} arms"
                )
            truth[row] = problem.truth
    return seeds, actions, observations, weights, opening, truth
