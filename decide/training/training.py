"""Training of a policy by Adam on the contrastive bound, for a number of steps or a time.

A compiled call takes as many steps as fill a few seconds. The key of a step comes from its number,
so that a resumed run equals an uninterrupted one. The file is rewritten at intervals and at the
end, also after an error. Needs only JAX, NumPyro, Optax and NumPy.
See also: bound.py for the bound, posteriors/parts/policy_file.py for the file.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Array, Model
from ...posteriors.errors import UsageError
from ...posteriors.parts.policy_file import (
    Artefact,
    check_policy_size,
    load_fitting_policy,
    model_identity,
    save_policy,
)
from ...posteriors.parts.policy_network import NetworkShape, Policy, usual_shape
from .bound import build_bound, build_score
from .settings import Settings, build_optimiser, check_settings

PACKAGES = ("uncertain", "jax", "jaxlib", "numpy", "numpyro", "optax")
CALL = 4.0
"""Seconds of training between two progress reports."""
KEEP = 20.0
"""Seconds of training between two writes of the file."""
TRAIN, START, SCORE = range(3)
"""Purposes that are folded into the seed's key."""


class TrainState(NamedTuple):
    """State of training.

    weights: of the networks, by name.
    moments: state of the optimiser.
    step: `[]` int32, steps taken.
    """

    weights: dict[str, Array]
    moments: Any
    step: Array


class Progress(NamedTuple):
    """Progress of training.

    step: steps taken.
    steps: steps in total.
    seconds: time spent.
    bound: mean bound of the latest steps, nats.
    pace: steps a second, 0 while unknown.
    left: seconds left.
    """

    step: int
    steps: int
    seconds: float
    bound: float
    pace: float
    left: float


class Training:
    """A policy in training: its compiled steps and its state."""

    def __init__(
        self, spec: str, model: Model, settings: Settings, shape: NetworkShape | None = None
    ) -> None:
        check_settings(settings)
        self.spec, self.model, self.settings = spec, model, settings
        self.shape = shape or usual_shape(model)
        self.policy = Policy(model, self.shape)
        check_policy_size(self.policy)
        self.adam = build_optimiser(settings)
        key = jax.random.fold_in(jax.random.key(settings.seed), START)
        weights = jax.jit(self.policy.init)(key)
        self.carry = TrainState(weights, self.adam.init(weights), jnp.zeros((), jnp.int32))
        self.seconds = 0.0
        self.device = str(jax.devices()[0].device_kind)
        self._advance = jax.jit(self._steps())

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return int(np.asarray(self.carry.step))

    def _steps(self) -> Callable[[TrainState, Any], tuple[TrainState, Array]]:
        """`(state, count) -> (state, summed bound)`, any number of steps in one program."""
        s = self.settings
        bound = build_bound(self.model, self.policy, s.horizon, s.batch, s.contrasts)
        root = jax.random.fold_in(jax.random.key(s.seed), TRAIN)

        def loss(weights: dict[str, Array], key: Array) -> tuple[Array, Array]:
            surrogate, estimate = bound(weights, key)
            return -surrogate, estimate

        def take_step(index: Array, carried: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
            carry, total = carried
            key = jax.random.fold_in(root, carry.step)
            gradient, estimate = jax.grad(loss, has_aux=True)(carry.weights, key)
            updates, moments = self.adam.update(gradient, carry.moments, carry.weights)
            weights = jax.tree.map(jnp.add, carry.weights, updates)
            return TrainState(weights, moments, carry.step + 1), total + estimate

        def take_steps(carry: TrainState, count: Array) -> tuple[TrainState, Array]:
            # Tensor cores would round the few small products to ten bits, without being faster.
            with jax.default_matmul_precision("float32"):
                return jax.lax.fori_loop(0, count, take_step, (carry, jnp.zeros(())))

        return take_steps

    def advance(self, count: int) -> float:
        """Take training steps.

        count: number of steps.

        Returns: their mean bound, nats.
        """
        self.carry, total = self._advance(self.carry, np.int32(count))
        return float(np.asarray(total)) / count

    def resume(self, path: str | Path) -> None:
        """Continue from a file.

        path: a policy written by `train`.

        Raises: UsageError if it was trained with other settings, or its training has ended.
        """
        artefact, _ = load_fitting_policy(path, self.model)
        wanted = {**asdict(self.settings), "shape": asdict(self.shape)}
        held = {**artefact.settings, "shape": asdict(artefact.shape)}
        # The number of steps may differ: resuming may extend a run.
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
        self.carry = TrainState(weights, moments, step)
        self.seconds = float(artefact.trained["seconds"])

    def artefact(self, reached: dict[str, Any] | None = None, over: bool = False) -> Artefact:
        """Pack the present policy for its file.

        reached: score to store, if any.
        over: whether to leave out the optimiser's moments, which only further steps need.

        Returns: the artefact.
        """
        carry = jax.tree.map(np.asarray, self.carry)
        trained = {
            "steps": int(carry.step),
            "seconds": self.seconds,
            "device": self.device,
            "host": platform.machine(),
        }
        return Artefact(
            self.spec, model_identity(self.model), self.settings.horizon, self.shape, carry.weights,
            asdict(self.settings), trained, _versions(), reached,
            [] if over else jax.tree.leaves(carry.moments),
        )  # fmt: skip

    def score(self, rollouts: int, contrasts: int) -> dict[str, Any]:
        """Score the present policy on new rollouts.

        rollouts: number of rollouts.
        contrasts: draws of the prior that each is contrasted with.

        Returns: numbers of both, the cap log(contrasts + 1), and mean and standard error of sPCE
            and sNMC, nats.
        """
        score = build_score(self.model, self.policy, self.settings.horizon, rollouts, contrasts)

        def run(weights: dict[str, Array], key: Array) -> tuple[Array, Array]:
            with jax.default_matmul_precision("float32"):
                return score(weights, key)

        key = jax.random.fold_in(jax.random.key(self.settings.seed), SCORE)
        lower, upper = (np.asarray(x, float) for x in jax.jit(run)(self.carry.weights, key))
        return {
            "rollouts": rollouts,
            "contrasts": contrasts,
            "cap": float(np.log(contrasts + 1)),
            "spce": _mean_se(lower),
            "snmc": _mean_se(upper),
        }


def _mean_se(values: np.ndarray) -> dict[str, float]:
    """Mean and its standard error."""
    spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": float(values.mean()), "se": float(spread)}


def _versions() -> dict[str, str]:
    """Versions of the packages used; without uncertain if it is not installed."""
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
    """Train until all steps are taken or the time is over.

    Writes the policy to the file every `KEEP` seconds and at the end, also after Ctrl-C.

    training: the policy in training.
    path: file of the policy.
    report: receives the progress every few seconds.
    budget: seconds, with compilation; None: no limit.
    clock: monotonic time, seconds.

    Returns: the trained policy.
    Raises: UsageError if the bound is not finite.
    """
    began, before, saved = clock(), training.seconds, clock()
    total, pace, count = training.settings.steps, 0.0, 1

    def left() -> float:
        return float("inf") if budget is None else budget - (clock() - began)

    try:
        while training.step < total:
            start = clock()
            bound = training.advance(count)
            spent = max(clock() - start, 1e-9)
            training.seconds = before + clock() - began
            # The first call compiles, so that steps are timed from the second on.
            pace = count / spent if pace or count > 1 else 0.0
            rest = total - training.step
            if not np.isfinite(bound):
                raise UsageError(
                    f"policy dad: the bound is {bound} after {training.step} steps: lower rate"
                )
            remaining = min(rest / pace if pace else float("inf"), left())
            progress = Progress(training.step, total, training.seconds, bound, pace, remaining)
            report(progress)
            if clock() - saved > KEEP:
                save_policy(path, training.artefact())
                saved = clock()
            count = min(rest, max(int(pace * min(CALL, left())), 1) if pace else 2)
            if left() <= (1 / pace if pace else 0.0):
                break
    finally:
        training.seconds = before + clock() - began
        save_policy(path, training.artefact(over=training.step >= total))
    return training.artefact(over=training.step >= total)
