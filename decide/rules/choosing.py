"""The rules: random, greedy, ucb, thompson and eig.

Each factory returns `choose(key, belief, model, stats, candidates) -> Choice`. Not here: the
information and reward they score with (information.py, rewards.py), or where candidates come from.
Sources: Lindley (1956), eig; Thompson (1933); Lai and Robbins (1985), ucb.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from ...posteriors.base import (
    Array,
    Belief,
    Draws,
    Gaussian,
    Model,
    UsageError,
    provides,
)
from ...posteriors.unknowns import unknowns_of
from .base import Candidates, Choice, Rule, as_draws, best, draw
from .information import belief_gain, expected_gain, linear_gaussian
from .rewards import expected_reward, linear_reward


@dataclass(frozen=True)
class Random:
    """Any valid candidate, all alike."""


@dataclass(frozen=True)
class Greedy:
    """particles: draws of a Gaussian belief to average the reward over."""

    particles: int = 128


@dataclass(frozen=True)
class UCB:
    """width: standard deviations of the expected reward added to its mean."""

    width: float = 1.0
    particles: int = 128


@dataclass(frozen=True)
class Thompson:
    """particles: draws of a Gaussian belief; one of them is obeyed."""

    particles: int = 128


@dataclass(frozen=True)
class EIG:
    """about: "all" unknowns, the "best" action, or the name of a discrete unknown.

    particles: draws of a Gaussian belief. per_cost: divide the gain by the candidate's cost.
    """

    about: str = "all"
    particles: int = 128
    per_cost: bool = False


def needs_reward(rule: str, model: Model) -> None:
    """Refuse a rule that maximises reward on a model that has none."""
    if not provides(model, "reward"):
        raise UsageError(
            f"rule {rule} needs a reward and model {type(model).__name__} defines none: "
            "use eig or random, or give the model a reward(action, observation)"
        )


def random(config: Random, model: Model) -> Rule:
    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        scores = jnp.zeros(candidates.valid.shape, candidates.features.dtype)
        return best(key, scores, candidates.valid)

    return choose


def rewards(
    key: Array, belief: Belief, model: Model, stats: Any, candidates: Candidates, count: int
) -> tuple[Array, Array]:
    """Weights `[S]` of the belief's draws and the expected reward `[A, S]` under each."""
    features = candidates.features
    few = isinstance(belief, Gaussian) and features.shape[0] <= belief.mean.size
    if few and linear_gaussian(model):
        assert isinstance(belief, Gaussian)
        return jnp.full(count, 1 / count), linear_reward(key, model, belief, features, count)
    draw_key, reward_key = jax.random.split(key)
    draws = as_draws(draw_key, belief, count)
    pay = expected_reward(reward_key, model, draws, stats, features)
    return jnp.exp(draws.log_weights), pay


def greedy(config: Greedy, model: Model) -> Rule:
    needs_reward("greedy", model)

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        tie_key, key = jax.random.split(key)
        weights, pay = rewards(key, belief, model, stats, candidates, config.particles)
        return best(tie_key, pay @ weights, candidates.valid)

    return choose


def ucb(config: UCB, model: Model) -> Rule:
    needs_reward("ucb", model)

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        tie_key, key = jax.random.split(key)
        weights, pay = rewards(key, belief, model, stats, candidates, config.particles)
        mean = pay @ weights
        variance = jnp.square(pay - mean[:, None]) @ weights
        return best(tie_key, mean + config.width * jnp.sqrt(variance), candidates.valid)

    return choose


def thompson(config: Thompson, model: Model) -> Rule:
    needs_reward("thompson", model)

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        choice_key, key = jax.random.split(key)
        weights, pay = rewards(key, belief, model, stats, candidates, config.particles)
        # Obeying one draw at random is choosing each action with the weight of draws it is best
        # for; written so, the propensity is exact.
        winners = best_under_each(pay, candidates.valid)
        return draw(choice_key, winners.T @ weights, pay @ weights)

    return choose


def best_under_each(pay: Array, valid: Array) -> Array:
    """Which action is best under each draw, `[S, A]` 0/1."""
    masked = jnp.where(valid[:, None], pay, -jnp.inf)
    return jax.nn.one_hot(jnp.argmax(masked, axis=0), pay.shape[0], dtype=pay.dtype)


def eig(config: EIG, model: Model) -> Rule:
    unknowns = unknowns_of(model)
    about = config.about
    if about == "best":
        needs_reward("eig:about=best", model)
    elif about != "all":
        if about not in unknowns.prior:
            known = ", ".join(["all", "best", *unknowns.prior])
            raise UsageError(f"rule eig: about={about!r}: choose one of {known}")
        if not unknowns.discrete:
            raise UsageError(
                f"rule eig: about={about!r}: the gain about one continuous part is not available; "
                "use all or best"
            )

    def grouping(key, draws: Draws, model: Model, stats, candidates: Candidates) -> Array:
        if about == "best":
            pay = expected_reward(key, model, draws, stats, candidates.features)
            return best_under_each(pay, candidates.valid)
        # Draws that agree on the part form a group, led by the first of them.
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
            groups = grouping(reward_key, draws, model, stats, candidates)
            gain = expected_gain(gain_key, model, draws, stats, candidates.features, groups)
        if config.per_cost:
            gain = gain / candidates.cost
        return best(tie_key, gain, candidates.valid)

    return choose
