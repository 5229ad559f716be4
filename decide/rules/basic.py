"""Basic rules: random, greedy, ucb, thompson and eig.

Each builder takes the rule's options and a model and returns
`choose(key, belief, model, stats, candidates) -> Choice`.
See also: information.py and rewards.py for the scores, proposers.py for candidates.
Sources: Lindley (1956) for eig; Thompson (1933); Lai and Robbins (1985) for ucb.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from ...posteriors.base import Array, Belief, Draws, Gaussian, Model, provides
from ...posteriors.errors import UsageError
from ...posteriors.parts.unknowns import unknowns_of
from .base import Candidates, Choice, Rule, as_draws, choose_at_random, choose_best
from .information import belief_gain, expected_gain, is_linear_gaussian
from .rewards import expected_reward, linear_reward


@dataclass(frozen=True)
class Random:
    """Uniform choice among the valid candidates."""


@dataclass(frozen=True)
class Greedy:
    """Largest expected reward.

    particles: draws of a Gaussian belief over which the reward is averaged.
    """

    particles: int = 128


@dataclass(frozen=True)
class UCB:
    """Upper confidence bound: mean plus standard deviations of the expected reward.

    width: number of standard deviations.
    particles: draws of a Gaussian belief.
    """

    width: float = 1.0
    particles: int = 128


@dataclass(frozen=True)
class Thompson:
    """Thompson sampling: the best action under one draw of the belief.

    particles: draws of a Gaussian belief, of which one decides.
    """

    particles: int = 128


@dataclass(frozen=True)
class EIG:
    """Largest expected information gain.

    about: "all" unknowns, the "best" action, or the name of a discrete unknown.
    particles: draws of a Gaussian belief.
    per_cost: whether to divide the gain by the candidate's cost.
    """

    about: str = "all"
    particles: int = 128
    per_cost: bool = False


def require_reward(rule: str, model: Model) -> None:
    """Refuse a model without a reward.

    rule: the rule's name, for the message.
    model: the model to check.

    Raises: UsageError if the model does not define `reward`.
    """
    if not provides(model, "reward"):
        raise UsageError(
            f"rule {rule} needs a reward and model {type(model).__name__} defines none: "
            "use eig or random, or give the model a reward(action, observation)"
        )


def build_random(config: Random, model: Model) -> Rule:
    """Build the rule that chooses uniformly.

    config: no options.
    model: any model.

    Returns: the `choose` function; it reads no belief.
    """

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        scores = jnp.zeros(candidates.valid.shape, candidates.features.dtype)
        return choose_best(key, scores, candidates.valid)

    return choose


def rewards_by_draw(
    key: Array, belief: Belief, model: Model, stats: Any, candidates: Candidates, count: int
) -> tuple[Array, Array]:
    """Compute the expected reward of every candidate under every draw of a belief.

    key: random key.
    belief: draws or a Gaussian.
    model: defines `reward`.
    stats: the model's running summary of past events.
    candidates: A actions.
    count: draws of a Gaussian belief.

    Returns: weights `[S]` of the draws, and rewards `[A, S]`.
    """
    features = candidates.features
    few = isinstance(belief, Gaussian) and features.shape[0] <= belief.mean.size
    if few and is_linear_gaussian(model):
        assert isinstance(belief, Gaussian)
        return jnp.full(count, 1 / count), linear_reward(key, model, belief, features, count)
    draw_key, reward_key = jax.random.split(key)
    draws = as_draws(draw_key, belief, count)
    pay = expected_reward(reward_key, model, draws, stats, features)
    return jnp.exp(draws.log_weights), pay


def build_greedy(config: Greedy, model: Model) -> Rule:
    """Build the rule that maximises the expected reward.

    config: the rule's options.
    model: defines `reward`.

    Returns: the `choose` function; its scores are expected rewards.
    Raises: UsageError if the model has no reward.
    """
    require_reward("greedy", model)

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        tie_key, key = jax.random.split(key)
        weights, pay = rewards_by_draw(key, belief, model, stats, candidates, config.particles)
        return choose_best(tie_key, pay @ weights, candidates.valid)

    return choose


def build_ucb(config: UCB, model: Model) -> Rule:
    """Build the rule that maximises an upper confidence bound of the expected reward.

    config: the rule's options.
    model: defines `reward`.

    Returns: the `choose` function; its scores are the bounds.
    Raises: UsageError if the model has no reward.
    """
    require_reward("ucb", model)

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        tie_key, key = jax.random.split(key)
        weights, pay = rewards_by_draw(key, belief, model, stats, candidates, config.particles)
        mean = pay @ weights
        variance = jnp.square(pay - mean[:, None]) @ weights
        return choose_best(tie_key, mean + config.width * jnp.sqrt(variance), candidates.valid)

    return choose


def build_thompson(config: Thompson, model: Model) -> Rule:
    """Build the rule of Thompson sampling.

    config: the rule's options.
    model: defines `reward`.

    Returns: the `choose` function; its scores are expected rewards.
    Raises: UsageError if the model has no reward.
    """
    require_reward("thompson", model)

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        choice_key, key = jax.random.split(key)
        weights, pay = rewards_by_draw(key, belief, model, stats, candidates, config.particles)
        # Following one random draw means choosing each action with the total weight of the draws
        # under which it is best. Written so, the propensity is exact.
        winners = winners_by_draw(pay, candidates.valid)
        return choose_at_random(choice_key, winners.T @ weights, pay @ weights)

    return choose


def winners_by_draw(pay: Array, valid: Array) -> Array:
    """Mark the best valid action under each draw.

    pay: `[A, S]`, expected rewards.
    valid: `[A]` bool.

    Returns: `[S, A]` of 0 and 1, one 1 in every row.
    """
    masked = jnp.where(valid[:, None], pay, -jnp.inf)
    return jax.nn.one_hot(jnp.argmax(masked, axis=0), pay.shape[0], dtype=pay.dtype)


def build_eig(config: EIG, model: Model) -> Rule:
    """Build the rule that maximises the expected information gain.

    config: the rule's options.
    model: defines `reward` if the gain is about the best action.

    Returns: the `choose` function; its scores are gains in nats, per unit of cost if `per_cost`.
    Raises: UsageError if the model lacks a reward, or has no discrete unknown of that name.
    """
    unknowns = unknowns_of(model)
    about = config.about
    if about == "best":
        require_reward("eig:about=best", model)
    elif about != "all":
        if about not in unknowns.prior:
            known = ", ".join(["all", "best", *unknowns.prior])
            raise UsageError(f"rule eig: about={about!r}: choose one of {known}")
        if not unknowns.discrete:
            raise UsageError(
                f"rule eig: about={about!r}: the gain about one continuous part is not available; "
                "use all or best"
            )

    def group_draws(key, draws: Draws, model: Model, stats, candidates: Candidates) -> Array:
        if about == "best":
            pay = expected_reward(key, model, draws, stats, candidates.features)
            return winners_by_draw(pay, candidates.valid)
        # Draws with equal values of the unknown form a group, labelled by the first of them.
        part = draws.values[:, unknowns.span(about)]
        same = jnp.all(part[:, None, :] == part[None, :, :], axis=-1)
        return jax.nn.one_hot(jnp.argmax(same, axis=1), part.shape[0])

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        tie_key, draw_key, gain_key, reward_key = jax.random.split(key, 4)
        if about == "all":
            gain = belief_gain(
                gain_key, model, belief, stats, candidates.features, config.particles
            )
        else:
            draws = as_draws(draw_key, belief, config.particles)
            groups = group_draws(reward_key, draws, model, stats, candidates)
            gain = expected_gain(gain_key, model, draws, stats, candidates.features, groups)
        if config.per_cost:
            gain = gain / candidates.cost
        return choose_best(tie_key, gain, candidates.valid)

    return choose
