"""Rows of a labelled file as a bandit: see the features, choose an arm, be paid by the class.

Each run takes the rows in a random order of its own, and starts over when they are used up. Not
here: reading the file (rows.py) or what an arm pays (payoff.py).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...posteriors.base import Arms, Array, UsageError
from .base import World
from .payoff import read_payoff, right_class
from .rows import read_rows


class Passed(NamedTuple):
    """The order of the rows `[N]` and how many have passed `[]`, int32."""

    order: Array
    step: Array


def labelled(
    file: str = "",
    label: str = "",
    payoff: str = "",
    drop: str | tuple[str, ...] = (),
    numeric: bool = False,
) -> World:
    """file: CSV, Parquet or npz. label: its column of classes; an npz may hold rewards instead.

    payoff: what arms pay, a name or a file; unless given an arm a class, 1 for the right one.
    drop: columns that are no features, `a,b`. numeric: refuse texts among the features.
    """
    if not file:
        raise UsageError("world labelled needs a file: labelled:file=rows.csv:label=COLUMN")
    dropped = [d for d in (drop.split(",") if isinstance(drop, str) else map(str, drop)) if d]
    found = read_rows(str(file), str(label), dropped, numeric)
    features = jnp.asarray(found.features, jnp.result_type(float))
    if found.rewards is not None:
        if payoff:
            raise UsageError(f"world labelled: {file} has rewards: name its label, or no payoff")
        first = second = mean = jnp.asarray(found.rewards, features.dtype)
        chance = jnp.ones_like(first)
        kinds = jnp.arange(len(features), dtype=jnp.int32)
    else:
        classes = found.classes
        table = read_payoff(str(payoff), classes, str(file)) if payoff else right_class(classes)
        first, second, chance, mean = (
            jnp.asarray(x, features.dtype)
            for x in (table.first, table.second, table.chance, table.mean)
        )
        kinds = jnp.asarray(found.labels)
    count, size = features.shape

    def init(key: Array) -> Passed:
        order = jax.random.permutation(key, count).astype(jnp.int32)
        return Passed(order, jnp.zeros((), jnp.int32))

    def row(state: Passed) -> Array:
        return state.order[state.step % count]

    def context(key: Array, state: Passed) -> Array:
        return features[row(state)]

    def answer(key: Array, state: Passed, action: Array, time: Array) -> tuple[Passed, Array]:
        kind, arm = kinds[row(state)], action[0].astype(jnp.int32)
        lucky = jax.random.uniform(key) < chance[kind, arm]
        paid = jnp.where(lucky, first[kind, arm], second[kind, arm])
        return Passed(state.order, state.step + 1), paid

    def pays(state: Passed, offered: Array) -> Array:
        return mean[kinds[row(state)]][offered[:, 0].astype(jnp.int32)]

    arms = Arms(first.shape[1], size)
    return World(init, context, answer, None, None, pays, (), arms, "linear", found.notes)
