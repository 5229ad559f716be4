"""Reference draws of the judge's own, made once and kept by content.

Exact where the posterior is Gaussian or can be enumerated; else NUTS, run longer where its checks
fail; else, the modes being several, adaptive tempered SMC. Draws that fail their checks are kept
with what they fail and are used by nobody. An entry of the store is known by the digest of the
model, its history or data, the settings, this package's text and the versions below it; what is
damaged, or lies under another's key, counts as not there and is made again. Not here: references
event by event (reference.py).
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.errors import UsageError
from ....posteriors.targets.base import Target
from ....streams.storage.results import Store, result_key
from ...loop.core.program_cache import SETTINGS, cache_folder, source_stamp
from .batch_posterior import BatchPosterior, build_target_posterior
from .nuts import DRAWS, WARM, run_chains
from .online import ENUMERABLE
from .tempered_smc import PARTICLES, run_tempered_smc

REFERENCES = "references"
"""Kind of entry, and name of the folder beside the kept programs."""
EXACT_DRAWS = 20_000
STRAIGHT = 1e-8
"""Relative change of a Hessian between points below which a log density is quadratic."""


@dataclass(frozen=True)
class Settings:
    """draws: of each NUTS chain; longer: times they are doubled where checks fail, then given up;
    particles: of SMC. method: "auto", or one of "exact", "nuts", "smc" alone."""

    draws: int = DRAWS
    warm: int = WARM
    longer: int = 2
    particles: int = PARTICLES
    seed: int = 0
    method: str = "auto"


def target_draws(target: Target) -> tuple[np.ndarray, dict[str, Any]]:
    """Draws `[n, D]` of a target, and what is to be said of them (`made`)."""
    return reference_draws(build_target_posterior(target), Settings(), reference_store())


def reference_store() -> Store | None:
    """Where references are kept, beside the kept programs; None where nothing is kept."""
    known = cache_folder()
    return Store(str(known.with_name(REFERENCES))) if known is not None else None


def _identity(problem: BatchPosterior, settings: Settings) -> dict[str, Any] | None:
    """Everything that determines the draws; None where the model has no name."""
    known = problem.identity()
    if known is None:
        return None
    config = (jax.default_backend(), *(getattr(jax.config, name) for name in SETTINGS))
    return {**known, "settings": asdict(settings), "stamp": source_stamp(config)}


def reference_draws(
    problem: BatchPosterior, settings: Settings, store: Store | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Draws from the store, or made now and put there."""
    known = _identity(problem, settings) if store is not None else None
    if store is not None and known is not None:
        entry = store.read(REFERENCES, result_key(known))
        if entry is not None:
            return entry.arrays()["draws"], entry.record
    begun = time.perf_counter()
    draws, said = make_draws(problem, settings)
    if store is not None and known is not None:
        store.commit(REFERENCES, known, said, {"draws": draws}, time.perf_counter() - begun)
    return draws, said


def make_draws(problem: BatchPosterior, settings: Settings) -> tuple[np.ndarray, dict[str, Any]]:
    """Draws `[n, D]`, and of them: kind, ess (independent draws they are worth), rhat of chains,
    and why they may not be used, None if they may."""
    key = jax.random.key(settings.seed)
    ways = {"exact": exact_draws, "nuts": _long_enough, "smc": _by_tempering}
    if settings.method not in ("auto", *ways):
        raise UsageError(f"method={settings.method!r}: choose auto, exact, nuts or smc")
    tried = list(ways) if settings.method == "auto" else [settings.method]
    found, reasons = None, []
    for way in tried:
        found = ways[way](problem, jax.random.fold_in(key, list(ways).index(way)), settings)
        if found is None:
            continue
        if found[1]["why"] is None:
            return found
        reasons.append(found[1]["why"])
    if found is None and not reasons:
        raise UsageError(f"method={settings.method}: cannot make draws of this posterior")
    draws = found[0] if found is not None else np.zeros((1, problem.unknowns.size))
    return draws, {"kind": "none", "ess": 0.0, "rhat": None, "why": "; ".join(reasons)}


def exact_draws(problem: BatchPosterior, key: Any, settings: Settings) -> Any:
    """Draws of an enumerated or a Gaussian posterior, None where it is neither."""
    said = {"kind": "exact", "ess": float(EXACT_DRAWS), "rhat": None, "why": None}
    table = problem.unknowns.enumerate(ENUMERABLE)
    if table is not None:
        values = jnp.asarray(table[0]).T
        logs = np.asarray(problem.log_prior(values) + problem.log_likelihood(values), float)
        shares = np.exp(logs - np.logaddexp.reduce(logs))
        picked = np.random.default_rng(settings.seed).choice(len(logs), EXACT_DRAWS, p=shares)
        return table[0][picked], said
    if problem.unknowns.discrete or not jax.config.read("jax_enable_x64"):
        return None
    points = problem.unknowns.sample(key, 3)
    slope = jax.jit(jax.vmap(jax.grad(problem.log_density)))
    curved = jax.jit(jax.vmap(jax.hessian(problem.log_density)))
    hessians = np.asarray(curved(points))
    apart = np.abs(hessians - hessians[0]).max()
    if not apart <= STRAIGHT * np.abs(hessians).max():
        return None
    mean = np.asarray(points[0]) - np.linalg.solve(hessians[0], np.asarray(slope(points))[0])
    root = np.linalg.cholesky(np.linalg.inv(-hessians[0]))
    half = np.random.default_rng(settings.seed).normal(size=(EXACT_DRAWS // 2, len(mean)))
    # Mirrored at the mean, which is exact then.
    return mean + np.concatenate([half, -half]) @ root.T, said


def _long_enough(problem: BatchPosterior, key: Any, settings: Settings) -> Any:
    """NUTS, with twice as many draws while its checks fail; None for discrete unknowns."""
    if problem.unknowns.discrete:
        return None
    found = None
    for doubled in range(settings.longer + 1):
        factor = 2**doubled
        found = run_chains(
            problem, jax.random.fold_in(key, doubled), settings.draws * factor,
            settings.warm * factor,
        )  # fmt: skip
        # Chains that stay in different modes will do so for longer.
        if found.why is None or found.rhat > 1.5:
            break
    assert found is not None
    draws = found.draws.reshape(-1, found.draws.shape[-1])
    return draws, {"kind": "nuts", "ess": found.ess, "rhat": found.rhat, "why": found.why}


def _by_tempering(problem: BatchPosterior, key: Any, settings: Settings) -> Any:
    """Adaptive tempered SMC."""
    if not problem.unknowns.proper:
        why = "SMC: the prior cannot be drawn from"
        draws = np.zeros((1, problem.unknowns.size))
        return draws, {"kind": "none", "ess": 0.0, "rhat": None, "why": why}
    found = run_tempered_smc(problem, key, settings.particles)
    return found.particles, {"kind": "smc", "ess": found.ess, "rhat": None, "why": found.why}


__all__ = [
    "REFERENCES",
    "Settings",
    "_identity",
    "make_draws",
    "reference_draws",
    "reference_store",
    "target_draws",
]  # fmt: skip
