"""Histories on which every backend is judged, with the reference gain of every candidate.

They come from random actions, so that no backend is judged on problems of its own making. Blocks
of runs are stored under the digest of everything that determines them, once a world. A damaged
entry, or one under a wrong key, is computed again. A world or model with the user's code or data
has no name, and is rolled out in each process.

See also: ../measures/fidelity.py for the choices of a backend.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ....streams.storage.results import result_key
from ....streams.worlds.base import World
from ...loop.core.agent import build_agent
from ...loop.core.program_cache import SETTINGS, model_name, source_stamp
from ...loop.core.rollout import Trace, roll_out
from .online import PARTICLES, compute_reference
from .reference_draws import reference_store

HISTORIES = "histories"
"""Kind of entry in the store of references."""
BLOCK = 4
"""Runs an entry: pieces of a bench then share entries however it is cut up."""
IDLE = "smc"


def shared_histories(
    world: World,
    steps: int,
    candidates: int,
    seed: int,
    first: int,
    count: int,
    particles: int = PARTICLES,
) -> tuple[Trace, np.ndarray]:
    """Return random histories with their candidates and reference gains.

    world: with a model.
    steps: events a run, T.
    candidates: offered each event, A.
    seed: of all runs.
    first: number of the first run.
    count: number of runs, N.
    particles: of the reference if it is sampled.
    Returns: the histories `[N, T, ...]`, and gains `[N, T, A]` nats.
    """
    blocks = range(first // BLOCK, -(-(first + count) // BLOCK))
    parts = [_block(world, steps, candidates, seed, b, particles) for b in blocks]
    start = first - blocks[0] * BLOCK
    return jax.tree.map(lambda *x: np.concatenate(x)[start : start + count], *parts)


@lru_cache(maxsize=512)
def _block(
    world: World, steps: int, candidates: int, seed: int, block: int, particles: int
) -> tuple[Trace, np.ndarray]:
    store = reference_store()
    known = _identity(world, steps, candidates, seed, block, particles)
    if store is None or known is None:
        return make_block(world, steps, candidates, seed, block, particles)
    entry = store.read(HISTORIES, result_key(known))
    if entry is None:
        trace, gains = make_block(world, steps, candidates, seed, block, particles)
        arrays = {**trace._asdict(), "gains": gains}
        del arrays["kept"]  # nothing is
        layout = {name: (list(x.shape), x.dtype.name) for name, x in arrays.items()}
        store.commit(HISTORIES, known, {"arrays": layout}, arrays)
        return trace, gains
    arrays = entry.arrays()
    for name, (shape, dtype) in entry.record["arrays"].items():
        # Zarr has no chunks of size 0, so these were left out.
        arrays.setdefault(name, np.zeros(shape, dtype))
    return Trace(**{name: arrays[name] for name in arrays.keys() & set(Trace._fields)}), arrays[
        "gains"
    ]


def _identity(
    world: World, steps: int, candidates: int, seed: int, block: int, particles: int
) -> dict[str, Any] | None:
    """Everything that determines a block; None for a world or model without a name."""
    name = model_name(world.model) if world.model is not None else None
    if name is None or world.name is None:
        return None
    config = (jax.default_backend(), *(getattr(jax.config, name) for name in SETTINGS))
    return {
        "world": world.name,
        "model": name,
        "steps": steps,
        "candidates": candidates,
        "seed": seed,
        "runs": [block * BLOCK, BLOCK],
        "particles": particles,
        "stamp": source_stamp(config),
    }


def make_block(
    world: World, steps: int, candidates: int, seed: int, block: int, particles: int
) -> tuple[Trace, np.ndarray]:
    """Roll out a block of runs and compute its reference gains.

    world: with a model.
    steps: events a run, T.
    candidates: offered each event, A.
    seed: of all runs.
    block: its number.
    particles: of the reference if it is sampled.
    Returns: the histories `[BLOCK, T, ...]`, and gains `[BLOCK, T, A]` nats.
    """
    model = world.model
    assert model is not None
    # Any backend will do for an agent that never looks at its belief; the prior costs least.
    idle, _ = build_agent(model, IDLE, "random", 1, 0, None, candidates)
    _, trace = roll_out(idle, world, steps, seed, BLOCK, block * BLOCK)
    trace = jax.tree.map(np.asarray, trace)
    past = trace.action, trace.observation, trace.probe_action, trace.probe_observation
    key = jax.random.fold_in(jax.random.key(seed), block * BLOCK)
    ref = compute_reference(model, key, *past, trace.features, particles=particles)
    return trace, np.asarray(ref.gains, float)
