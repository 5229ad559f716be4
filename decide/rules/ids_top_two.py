"""Rules that trade information against regret: ids and top-two.

Each builder returns `choose(key, belief, model, stats, candidates) -> Choice`, whose propensity is
exact given the draws.
See also: information.py for gains, rewards.py for rewards.
Sources: Russo and Van Roy (2014, 2018), information-directed sampling; Russo (2016, 2020), top-two
Thompson sampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from ...posteriors.base import Array, Model
from ...posteriors.errors import UsageError
from .base import Candidates, Choice, Rule, as_draws, choose_at_random, choose_best
from .basic import require_reward, rewards_by_draw, winners_by_draw
from .information import belief_gain, expected_gain
from .rewards import expected_reward

WORTHLESS = 1e-6
"""Gains up to this many nats count as rounding error, as with a point estimate."""


@dataclass(frozen=True)
class IDS:
    """Information-directed sampling: least squared regret for each nat of gain.

    about: the "best" action or "all" unknowns, which the gain is about.
    particles: draws of a Gaussian belief.
    """

    about: str = "best"
    particles: int = 128


@dataclass(frozen=True)
class TopTwo:
    """Top-two Thompson sampling: the best action of one draw, or the best of a dissenting one.

    beta: probability of following the first draw; otherwise the first later draw that disagrees.
    particles: draws of a Gaussian belief.
    """

    beta: float = 0.5
    particles: int = 128


def build_ids(config: IDS, model: Model) -> Rule:
    """Build the rule of information-directed sampling.

    config: the rule's options.
    model: defines `reward`.

    Returns: the `choose` function; its scores are gains in nats.
    Raises: UsageError if the model has no reward, or `about` is unknown.
    """
    require_reward("ids", model)
    if config.about not in ("all", "best"):
        raise UsageError(f"rule ids: about={config.about!r}: choose one of all, best")

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        tie_key, choice_key, draw_key, reward_key, gain_key = jax.random.split(key, 5)
        features, count = candidates.features, config.particles
        if config.about == "all":
            weights, pay = rewards_by_draw(reward_key, belief, model, stats, candidates, count)
            sound = _paying(pay, candidates.valid)
            gain = belief_gain(gain_key, model, belief, stats, features, count)
        else:
            # The same draws give the best action and the predicted observation.
            draws = as_draws(draw_key, belief, count)
            weights = jnp.exp(draws.log_weights)
            pay = expected_reward(reward_key, model, draws, stats, features)
            sound = _paying(pay, candidates.valid)
            groups = winners_by_draw(pay, sound)
            gain = expected_gain(gain_key, model, draws, stats, features, groups)
        top = jnp.max(jnp.where(sound[:, None], pay, -jnp.inf), axis=0)
        regret = (top[None, :] - pay) @ weights
        regret = jnp.where(sound, regret, jnp.nan)
        propensity, worthwhile = ids_propensity(regret, gain)
        # If no action informs, choose the one with the least regret.
        cheapest = choose_best(tie_key, -regret, candidates.valid).propensity
        return choose_at_random(choice_key, jnp.where(worthwhile, propensity, cheapest), gain)

    return choose


def _paying(pay: Array, valid: Array) -> Array:
    """Valid candidates `[A]` whose reward is finite under every draw."""
    return valid & jnp.all(jnp.isfinite(pay), axis=1)


def ids_propensity(regret: Array, gain: Array) -> tuple[Array, Array]:
    """Find the distribution over actions with the least regret^2 / gain.

    The minimum lies on at most two actions, and over mixtures of two it has a closed form, so all
    pairs are compared. Tied pairs are equally likely.

    regret: `[A]`, expected; NaN for actions that cannot be chosen.
    gain: `[A]`, expected, nats; NaN likewise.

    Returns: the distribution `[A]`, and whether its ratio is finite `[]`.
    Source: Russo and Van Roy (2018).
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
    learnt = gain[None, :] + share * gained
    ratio = jnp.where(
        learnt > WORTHLESS, jnp.square(lost) / jnp.maximum(learnt, WORTHLESS), jnp.inf
    )
    ratio = jnp.where(lost > 0, ratio, 0.0)
    possible = alone | (differ & (inner > 0) & (inner < 1))
    possible &= known[:, None] & known[None, :]
    ratio = jnp.where(possible, ratio, jnp.inf)
    least = jnp.min(ratio)
    tied = possible & (ratio == least)
    first, second = jnp.where(tied, share, 0.0), jnp.where(tied, 1 - share, 0.0)
    both = jnp.sum(first, axis=1) + jnp.sum(second, axis=0)
    return both / jnp.maximum(jnp.sum(both), 1.0), jnp.isfinite(least)


def build_top_two(config: TopTwo, model: Model) -> Rule:
    """Build the rule of top-two Thompson sampling.

    config: the rule's options.
    model: defines `reward`.

    Returns: the `choose` function; its scores are expected rewards.
    Raises: UsageError if the model has no reward, or `beta` is no probability.
    """
    require_reward("top-two", model)
    if not 0 <= config.beta <= 1:
        raise UsageError(f"rule top-two: beta={config.beta} must lie between 0 and 1")

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        choice_key, key = jax.random.split(key)
        weights, pay = rewards_by_draw(key, belief, model, stats, candidates, config.particles)
        wins = winners_by_draw(pay, candidates.valid).T @ weights
        propensity = config.beta * wins + (1 - config.beta) * runner_up_propensity(wins)
        return choose_at_random(choice_key, propensity, pay @ weights)

    return choose


def runner_up_propensity(wins: Array) -> Array:
    """Compute the distribution of the first later winner that differs from the first winner.

    wins: `[A]`, probability of being best under one draw; a sure winner is its own runner-up.

    Returns: `[A]` probabilities.
    """
    alone = jnp.eye(len(wins), dtype=wins.dtype)
    others = wins[None, :] * (1 - alone)
    # Summed rather than 1 - wins, so that the rest beside a sure winner is exactly 0.
    rest = jnp.sum(others, axis=1, keepdims=True)
    tiny = jnp.finfo(wins.dtype).tiny
    return wins @ jnp.where(rest > 0, others / jnp.maximum(rest, tiny), alone)
