"""Train a policy by Adam on the contrastive bound, for as many steps or as long as one likes.

Steps run inside one compiled call, as many as fill a few seconds, each with a key of its own
number, so that a run that was stopped goes on as if it had not been. The file is rewritten every so
often and at the end, whatever ends it. Nothing but JAX, NumPyro, Optax and NumPy is needed. Not
here: the bound (bound.py), the file's layout (posteriors/artefact.py), or a command line.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ...posteriors.artefact import Artefact, check_size, fitting, known_as, save
from ...posteriors.base import Array, Model, UsageError
from ...posteriors.outcomes import Finite, outcome_kind
from ...posteriors.policy import Policy, Shape, usual_shape
from .bound import build_bound, build_score

PACKAGES = ("uncertain", "jax", "jaxlib", "numpy", "numpyro", "optax")
CALL = 4.0
"""Seconds of training between two words to the person."""
KEEP = 20.0
"""Seconds of training between two writings of the file."""
TRAIN, START, SCORE = range(3)
"""Purposes folded into the seed."""
STAIR = 1000
"""Steps between two falls of the rate, as in the released code."""


@dataclass(frozen=True)
class Settings:
    """What training is asked for.

    steps, batch: of Adam, and rollouts a step. contrasts: prior draws that each is told from.
    rate: Adam's, multiplied by decay every `STAIR` steps. b1, b2: Adam's. clip: largest component
    of a gradient.
    """

    horizon: int
    steps: int
    batch: int
    contrasts: int
    rate: float
    decay: float
    b1: float
    b2: float
    seed: int = 0
    clip: float = 1.0


HORIZONS = {"Location": 30, "Discounting": 20, "DeathProcess": 4}
"""Events a run in the published problems."""
ELSEWHERE = 20


def usual_settings(model: Model) -> Settings:
    """Those of the released code for outcomes of the model's kind."""
    horizon = HORIZONS.get(type(model).__name__, ELSEWHERE)
    if isinstance(outcome_kind(model), Finite):
        return Settings(horizon, 100_000, 500, 500, 1e-4, 0.96, 0.9, 0.999)
    return Settings(horizon, 50_000, 2000, 2000, 5e-5, 0.98, 0.8, 0.998)


class Carry(NamedTuple):
    """Weights, the optimiser's state, and step `[]` int32."""

    weights: dict[str, Array]
    moments: Any
    step: Array


class Progress(NamedTuple):
    """Where training is: steps done and wanted, seconds until now, the bound lately (nats), steps a
    second, seconds left."""

    step: int
    steps: int
    seconds: float
    bound: float
    pace: float
    left: float


def check_settings(settings: Settings) -> None:
    """Refuse numbers out of range."""
    for name in ("horizon", "steps", "batch", "contrasts"):
        if getattr(settings, name) < 1:
            raise UsageError(f"policy dad: {name}={getattr(settings, name)}: must be at least 1")
    for name in ("rate", "decay", "clip"):
        if not 0 < getattr(settings, name) < float("inf"):
            raise UsageError(f"policy dad: {name}={getattr(settings, name)}: must be above 0")


def optimiser(settings: Settings) -> optax.GradientTransformation:
    """Adam on clipped gradients, at a rate that falls in stairs."""

    def clipped(updates: Any, params: Any = None) -> Any:
        largest = jnp.max(jnp.stack([jnp.max(jnp.abs(x)) for x in jax.tree.leaves(updates)]))
        scale = jnp.minimum(1.0, settings.clip / jnp.maximum(largest, 1e-12))
        # One rollout without a finite gradient must not end a night's training.
        fine = jnp.isfinite(largest)
        return jax.tree.map(lambda x: jnp.where(fine, scale * x, 0.0), updates)

    rate = optax.exponential_decay(settings.rate, STAIR, settings.decay, staircase=True)
    return optax.chain(optax.stateless(clipped), optax.adam(rate, settings.b1, settings.b2))


class Training:
    """One policy in training: its compiled steps and where they have come to."""

    def __init__(
        self, spec: str, model: Model, settings: Settings, shape: Shape | None = None
    ) -> None:
        check_settings(settings)
        self.spec, self.model, self.settings = spec, model, settings
        self.shape = shape or usual_shape(model)
        self.policy = Policy(model, self.shape)
        check_size(self.policy)
        self.adam = optimiser(settings)
        key = jax.random.fold_in(jax.random.key(settings.seed), START)
        weights = jax.jit(self.policy.init)(key)
        self.carry = Carry(weights, self.adam.init(weights), jnp.zeros((), jnp.int32))
        self.seconds = 0.0
        self.device = str(jax.devices()[0].device_kind)
        self._advance = jax.jit(self._steps())

    @property
    def step(self) -> int:
        return int(np.asarray(self.carry.step))

    def _steps(self) -> Callable[[Carry, Any], tuple[Carry, Array]]:
        """`(carry, count) -> (carry, summed bound)`, any number of steps in one program."""
        s = self.settings
        bound = build_bound(self.model, self.policy, s.horizon, s.batch, s.contrasts)
        root = jax.random.fold_in(jax.random.key(s.seed), TRAIN)

        def loss(weights: dict[str, Array], key: Array) -> tuple[Array, Array]:
            surrogate, estimate = bound(weights, key)
            return -surrogate, estimate

        def one(index: Array, carried: tuple[Carry, Array]) -> tuple[Carry, Array]:
            carry, total = carried
            key = jax.random.fold_in(root, carry.step)
            gradient, estimate = jax.grad(loss, has_aux=True)(carry.weights, key)
            updates, moments = self.adam.update(gradient, carry.moments, carry.weights)
            weights = jax.tree.map(jnp.add, carry.weights, updates)
            return Carry(weights, moments, carry.step + 1), total + estimate

        def many(carry: Carry, count: Array) -> tuple[Carry, Array]:
            # Tensor cores would round the few small products to ten bits, and gain nothing.
            with jax.default_matmul_precision("float32"):
                return jax.lax.fori_loop(0, count, one, (carry, jnp.zeros(())))

        return many

    def advance(self, count: int) -> float:
        """Take that many steps; their mean bound in nats."""
        self.carry, total = self._advance(self.carry, np.int32(count))
        return float(np.asarray(total)) / count

    def resume(self, path: str | Path) -> None:
        """Go on from what a file holds; refused where it was made for other settings."""
        artefact, _ = fitting(path, self.model)
        wanted = {**asdict(self.settings), "shape": asdict(self.shape)}
        held = {**artefact.settings, "shape": asdict(artefact.shape)}
        # More steps are what resuming is for.
        wrong = [k for k in wanted if k != "steps" and held.get(k) != wanted[k]]
        if wrong:
            raise UsageError(
                f"{path}: trained with {wrong[0]}={held.get(wrong[0])}, not {wanted[wrong[0]]}: "
                "give the same, or start anew with another --out"
            )
        structure = jax.tree.structure(self.carry.moments)
        if len(artefact.moments) != structure.num_leaves:
            raise UsageError(f"{path}: its training is over and cannot go on; use another --out")
        moments = jax.tree.unflatten(structure, [jnp.asarray(x) for x in artefact.moments])
        weights = {name: jnp.asarray(value) for name, value in artefact.weights.items()}
        step = jnp.asarray(artefact.trained["steps"], jnp.int32)
        self.carry = Carry(weights, moments, step)
        self.seconds = float(artefact.trained["seconds"])

    def artefact(self, reached: dict[str, Any] | None = None, over: bool = False) -> Artefact:
        """What there is now. over: without the moments, which only more steps would need."""
        carry = jax.tree.map(np.asarray, self.carry)
        trained = {
            "steps": int(carry.step),
            "seconds": self.seconds,
            "device": self.device,
            "host": platform.machine(),
        }
        return Artefact(
            self.spec, known_as(self.model), self.settings.horizon, self.shape, carry.weights,
            asdict(self.settings), trained, versions(), reached,
            [] if over else jax.tree.leaves(carry.moments),
        )  # fmt: skip

    def score(self, rollouts: int, contrasts: int) -> dict[str, Any]:
        """sPCE and sNMC of what there is now, on rollouts that no step has seen."""
        made = build_score(self.model, self.policy, self.settings.horizon, rollouts, contrasts)

        def run(weights: dict[str, Array], key: Array) -> tuple[Array, Array]:
            with jax.default_matmul_precision("float32"):
                return made(weights, key)

        key = jax.random.fold_in(jax.random.key(self.settings.seed), SCORE)
        lower, upper = (np.asarray(x, float) for x in jax.jit(run)(self.carry.weights, key))
        return {
            "rollouts": rollouts,
            "contrasts": contrasts,
            "cap": float(np.log(contrasts + 1)),
            "spce": mean_se(lower),
            "snmc": mean_se(upper),
        }


def mean_se(values: np.ndarray) -> dict[str, float]:
    """Mean and its standard error."""
    spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": float(values.mean()), "se": float(spread)}


def versions() -> dict[str, str]:
    """Those of what training stands on; without uncertain where that is not installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def train(
    training: Training,
    path: str | Path,
    report: Callable[[Progress], None],
    budget: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Artefact:
    """Train until all steps are done or `budget` seconds are over, compiling included.

    What is there is written to `path` every `KEEP` seconds and at the end, also where an error or
    Ctrl-C is the end.
    """
    began, before, kept = clock(), training.seconds, clock()
    wanted, pace, count = training.settings.steps, 0.0, 1

    def left() -> float:
        return float("inf") if budget is None else budget - (clock() - began)

    try:
        while training.step < wanted:
            start = clock()
            bound = training.advance(count)
            spent = max(clock() - start, 1e-9)
            training.seconds = before + clock() - began
            # The first call compiles, so that only the second tells how long a step takes.
            pace = count / spent if pace or count > 1 else 0.0
            rest = wanted - training.step
            if not np.isfinite(bound):
                raise UsageError(
                    f"policy dad: the bound is {bound} after {training.step} steps: lower rate"
                )
            remaining = min(rest / pace if pace else float("inf"), left())
            told = Progress(training.step, wanted, training.seconds, bound, pace, remaining)
            report(told)
            if clock() - kept > KEEP:
                save(path, training.artefact())
                kept = clock()
            count = min(rest, max(int(pace * min(CALL, left())), 1) if pace else 2)
            if left() <= (1 / pace if pace else 0.0):
                break
    finally:
        training.seconds = before + clock() - began
        save(path, training.artefact(over=training.step >= wanted))
    return training.artefact(over=training.step >= wanted)


def with_score(artefact: Artefact, reached: dict[str, Any]) -> Artefact:
    """The artefact with what it reached."""
    return replace(artefact, reached=reached)
