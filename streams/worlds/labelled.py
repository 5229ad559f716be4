"""Rows of a labelled file as a bandit: see the features, choose an arm, be paid by the class.

Each run takes the rows in a random order of its own, and starts over when they are used up.
See also: rows.py for reading the file, payoff.py for the rewards of the arms.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...posteriors.base import Arms, Array
from ...posteriors.errors import UsageError
from .base import World
from .payoff import read_payoff, right_class_payoff
from .rows import read_labelled_rows


class Passed(NamedTuple):
    """State of the world.

    order: order of the rows `[N]`, int32.
    step: number of rows passed `[]`, int32.
    """

    order: Array
    step: Array


def labelled_world(
    file: str = "",
    label: str = "",
    payoff: str = "",
    drop: str | tuple[str, ...] = (),
    numeric: bool = False,
) -> World:
    """Build the world of a labelled file.

    file: CSV, Parquet or npz.
    label: column of classes; an npz may hold rewards instead.
    payoff: payoff table, a name or a file; by default an arm a class, 1 for the right one.
    drop: columns that are no features, `a,b`.
    numeric: whether texts among the features are refused.
    Raises: UsageError for wrong options or files.
    """
    if not file:
        raise UsageError("world labelled needs a file: labelled:file=rows.csv:label=COLUMN")
    dropped = [d for d in (drop.split(",") if isinstance(drop, str) else map(str, drop)) if d]
    found = read_labelled_rows(str(file), str(label), dropped, numeric)
    features = jnp.asarray(found.features, jnp.result_type(float))
    if found.rewards is not None:
        if payoff:
            raise UsageError(f"world labelled: {file} has rewards: name its label, or no payoff")
        first = second = mean = jnp.asarray(found.rewards, features.dtype)
        chance = jnp.ones_like(first)
        kinds = jnp.arange(len(features), dtype=jnp.int32)
    else:
        classes = found.classes
        table = (
            read_payoff(str(payoff), classes, str(file)) if payoff else right_class_payoff(classes)
        )
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
