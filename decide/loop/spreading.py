"""Particles over devices: large arrays of a state divided along their particles.

A sharding never changes what a program means: the compiler moves what an operation needs from
device to device. So every large leaf with an axis as long as S is divided over all devices that
JAX sees, and nothing else knows of it; small leaves are cheaper whole. With one device, or fewer
particles than would fill an array of `LARGE`, nothing happens. Not here: which devices there are.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .packing import LARGE

AXIS = "particles"


@lru_cache(maxsize=1)
def mesh() -> Mesh | None:
    """All devices in a row; None for only one."""
    devices = jax.devices()
    return Mesh(devices, (AXIS,)) if len(devices) > 1 else None


def divided(shape: tuple[int, ...], particles: int, devices: int) -> PartitionSpec | None:
    """How an array lies over the devices: by its last axis as long as S, else whole (None)."""
    if math.prod(shape) <= LARGE or particles % devices:
        return None
    found = [place for place, size in enumerate(shape) if size == particles]
    if not found:
        return None
    return PartitionSpec(*(AXIS if place == found[-1] else None for place in range(len(shape))))


def spread(tree: Any, particles: int) -> Any:
    """`tree` with its large leaves divided over devices, inside a trace."""
    devices = mesh()
    if devices is None:
        return tree

    def place(leaf: Any) -> Any:
        spec = divided(leaf.shape, particles, devices.size)
        if spec is None:
            return leaf
        return jax.lax.with_sharding_constraint(leaf, NamedSharding(devices, spec))

    return jax.tree.map(place, tree)
