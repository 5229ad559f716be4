"""Rules that pay for information only what it is worth: ids and top-two.

Each factory returns `choose(key, belief, model, stats, candidates) -> Choice`, its propensity exact
given the draws. Not here: the information and reward they weigh (information.py, rewards.py).
Sources: Russo and Van Roy (2014, 2018), information-directed sampling; Russo (2016, 2020), top-two
Thompson sampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from ...posteriors.base import Array, Model, UsageError
from .base import Candidates, Choice, Rule, as_draws, best, draw
from .choosing import best_under_each, needs_reward, rewards
from .information import belief_gain, expected_gain
from .rewards import expected_reward

WORTHLESS = 1e-6
"""Gains up to this many nats are rounding: what a point estimate is left with."""


@dataclass(frozen=True)
class IDS:
    """about: what the gain is about, the "best" action or "all" unknowns.

    particles: draws of a Gaussian belief. Its scores are the gains.
    """

    about: str = "best"
    particles: int = 128


@dataclass(frozen=True)
class TopTwo:
    """beta: probability of obeying the first draw; otherwise the first that disagrees with it.

    particles: draws of a Gaussian belief.
    """

    beta: float = 0.5
    particles: int = 128


def ids(config: IDS, model: Model) -> Rule:
    needs_reward("ids", model)
    if config.about not in ("all", "best"):
        raise UsageError(f"rule ids: about={config.about!r}: choose one of all, best")

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        tie_key, choice_key, draw_key, reward_key, gain_key = jax.random.split(key, 5)
        features, count = candidates.features, config.particles
        if config.about == "all":
            weights, pay = rewards(reward_key, belief, model, stats, candidates, count)
            sound = paying(pay, candidates.valid)
            gain = belief_gain(gain_key, model, belief, stats, features, count)
        else:
            # The same draws say which action is best and what would be seen.
            draws = as_draws(draw_key, belief, count)
            weights = jnp.exp(draws.log_weights)
            pay = expected_reward(reward_key, model, draws, stats, features)
            sound = paying(pay, candidates.valid)
            groups = best_under_each(pay, sound)
            gain = expected_gain(gain_key, model, draws, stats, features, groups)
        top = jnp.max(jnp.where(sound[:, None], pay, -jnp.inf), axis=0)
        regret = (top[None, :] - pay) @ weights
        regret = jnp.where(sound, regret, jnp.nan)
        propensity, worthwhile = directed(regret, gain)
        # Nothing to be learnt from anything: all that is left is to lose little.
        cheapest = best(tie_key, -regret, candidates.valid).propensity
        return draw(choice_key, jnp.where(worthwhile, propensity, cheapest), gain)

    return choose


def paying(pay: Array, valid: Array) -> Array:
    """Valid candidates `[A]` whose reward is finite under every draw."""
    return valid & jnp.all(jnp.isfinite(pay), axis=1)


def directed(regret: Array, gain: Array) -> tuple[Array, Array]:
    """The distribution `[A]` of least regret^2 / gain, and whether any has a finite one.

    regret, gain: expected `[A]`, NaN for what cannot be taken. The least is always attained on at
    most two actions, and over the mixtures of two it has a closed form, so all pairs are looked at.
    Pairs that tie are equally likely.
    """
    known = ~jnp.isnan(regret) & ~jnp.isnan(gain)
    regret, gain = jnp.where(known, regret, 0.0), jnp.where(known, gain, 0.0)
    # In units of the largest: the ratio's scale does not matter, its square could underflow.
    regret = regret / jnp.maximum(jnp.max(regret), jnp.finfo(regret.dtype).tiny)
    more, gained = (x[:, None] - x[None, :] for x in (regret, gain))
    differ = (more != 0) & (gained != 0)
    # Where the slope of (r + p dr)^2 / (g + p dg) vanishes; p is the share of the first.
    inner = regret[None, :] / jnp.where(differ, more, 1.0)
    inner = inner - 2 * gain[None, :] / jnp.where(differ, gained, 1.0)
    alone = jnp.eye(len(regret), dtype=bool)
    share = jnp.where(alone, 1.0, inner)
    lost = regret[None, :] + share * more
    told = gain[None, :] + share * gained
    ratio = jnp.where(told > WORTHLESS, jnp.square(lost) / jnp.maximum(told, WORTHLESS), jnp.inf)
    ratio = jnp.where(lost > 0, ratio, 0.0)
    possible = alone | (differ & (inner > 0) & (inner < 1))
    possible &= known[:, None] & known[None, :]
    ratio = jnp.where(possible, ratio, jnp.inf)
    least = jnp.min(ratio)
    tied = possible & (ratio == least)
    first, second = jnp.where(tied, share, 0.0), jnp.where(tied, 1 - share, 0.0)
    both = jnp.sum(first, axis=1) + jnp.sum(second, axis=0)
    return both / jnp.maximum(jnp.sum(both), 1.0), jnp.isfinite(least)


def top_two(config: TopTwo, model: Model) -> Rule:
    needs_reward("top-two", model)
    if not 0 <= config.beta <= 1:
        raise UsageError(f"rule top-two: beta={config.beta} must lie between 0 and 1")

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        choice_key, key = jax.random.split(key)
        weights, pay = rewards(key, belief, model, stats, candidates, config.particles)
        wins = best_under_each(pay, candidates.valid).T @ weights
        propensity = config.beta * wins + (1 - config.beta) * runner_up(wins)
        return draw(choice_key, propensity, pay @ weights)

    return choose


def runner_up(wins: Array) -> Array:
    """Probability `[A]` of being the second to win, drawing until a winner is not the first.

    wins `[A]`: probability of winning one draw. Who always wins is its own runner-up.
    """
    alone = jnp.eye(len(wins), dtype=wins.dtype)
    others = wins[None, :] * (1 - alone)
    # Summed, not 1 - wins: what is left beside a sure winner must be exactly nothing.
    rest = jnp.sum(others, axis=1, keepdims=True)
    tiny = jnp.finfo(wins.dtype).tiny
    return wins @ jnp.where(rest > 0, others / jnp.maximum(rest, tiny), alone)
