"""Shard the large arrays of a state over devices, along their particle axis.

A sharding does not change the meaning of a program: the compiler moves data between devices where
an operation needs it. Every large leaf with an axis of length S is divided over all devices that
JAX sees. Small leaves stay whole, which is cheaper. With one device nothing changes.
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
def _mesh() -> Mesh | None:
    """All devices in a row; None for a single device."""
    devices = jax.devices()
    return Mesh(devices, (AXIS,)) if len(devices) > 1 else None


def partition_spec(shape: tuple[int, ...], particles: int, devices: int) -> PartitionSpec | None:
    """Decide the sharding of an array: by its last axis of length S.

    shape: shape of the array.
    particles: S.
    devices: number of devices.

    Returns: the partition; None to keep the array whole.
    """
    if math.prod(shape) <= LARGE or particles % devices:
        return None
    found = [place for place, size in enumerate(shape) if size == particles]
    if not found:
        return None
    return PartitionSpec(*(AXIS if place == found[-1] else None for place in range(len(shape))))


def shard_particles(tree: Any, particles: int) -> Any:
    """Shard the large leaves of a tree over the devices; inside a trace.

    tree: state of a posterior.
    particles: S; 0 leaves every leaf whole.

    Returns: the tree with sharding constraints.
    """
    devices = _mesh()
    if devices is None:
        return tree

    def place(leaf: Any) -> Any:
        spec = partition_spec(leaf.shape, particles, devices.size)
        if spec is None:
            return leaf
        return jax.lax.with_sharding_constraint(leaf, NamedSharding(devices, spec))

    return jax.tree.map(place, tree)
