"""Reference draws of the judge's own, computed once and stored by content.

Exact if the posterior is Gaussian or can be enumerated; else NUTS, run longer if its checks fail;
else, with several modes, adaptive tempered SMC. Draws that fail their checks are stored with the
reason and are not used. The key of an entry is the digest of the model, its history or data, the
settings, this package's text and the versions below it; a damaged entry, or one under a wrong key,
is computed again.

See also: online.py for references event by event.
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
    """Settings of reference draws."""

    draws: int = DRAWS
    """Of each NUTS chain."""
    warm: int = WARM
    """Adaptation steps of each NUTS chain."""
    longer: int = 2
    """How often the chains are doubled if checks fail."""
    particles: int = PARTICLES
    """Of SMC."""
    seed: int = 0
    method: str = "auto"
    """"auto", or only one of "exact", "nuts", "smc"."""


def target_draws(target: Target) -> tuple[np.ndarray, dict[str, Any]]:
    """Return stored reference draws of a target, with default settings.

    target: static.
    Returns: draws `[n, D]` and their description, as from `make_draws`.
    """
    return reference_draws(build_target_posterior(target), Settings(), reference_store())


def reference_store() -> Store | None:
    """Return the store of references, beside the cached programs; None without a cache."""
    known = cache_folder()
    return Store(str(known.with_name(REFERENCES))) if known is not None else None


def _identity(problem: BatchPosterior, settings: Settings) -> dict[str, Any] | None:
    """Everything that determines the draws; None if the model has no name."""
    known = problem.identity()
    if known is None:
        return None
    config = (jax.default_backend(), *(getattr(jax.config, name) for name in SETTINGS))
    return {**known, "settings": asdict(settings), "stamp": source_stamp(config)}


def reference_draws(
    problem: BatchPosterior, settings: Settings, store: Store | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return draws from the store, or compute and store them.

    problem: posterior to draw from.
    settings: of the draws.
    store: None to compute them anew.
    Returns: draws `[n, D]` and their description, as from `make_draws`.
    """
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
    """Compute draws by the first method whose checks pass.

    problem: posterior to draw from.
    settings: of the draws.
    Returns: draws `[n, D]` and their description: kind; ess, the number of independent draws that
        they are worth; rhat of chains; and why, the reason not to use them, None if they pass.
    Raises: UsageError if the method is unknown or does not apply to this posterior.
    """
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
    """Draw from an enumerated or a Gaussian posterior.

    problem: posterior to draw from.
    key: random key of the points at which the Hessian is compared.
    settings: their seed.
    Returns: draws and their description, as from `make_draws`; None if the posterior is neither.
    """
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
