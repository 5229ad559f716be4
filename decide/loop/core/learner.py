"""The Python door: an agent in a loop of your own, one decision and one event at a time.

The same compiled calls as in `uncertain run`: with the same seed and events it decides the same.

See also: examples/python_door.py for a whole loop, decide/loop/server/ for requests from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ....posteriors.base import Arms, Array, Model
from ....posteriors.errors import UsageError
from ....posteriors.parts.unknowns import unknowns_of
from ....posteriors.placeholders import example_event
from ....posteriors.registry import build_model
from ...rules.base import as_draws
from .agent import DRAWS, build_agent, check_draws
from .compiled import Packed, build_learn, build_live
from .host_arrays import host_event
from .step import Agent, blank_request


class Choice(NamedTuple):
    """One decision.

    action: number of the arm, or `[size]` float where actions are vectors.
    propensity: probability with which it was chosen.
    scores: `[A]`, of every candidate; expected gain in nats under rule eig.
    """

    action: Any
    propensity: float
    scores: np.ndarray


class Beliefs(NamedTuple):
    """Weighted draws of the unknowns in their natural units.

    values: arrays `[S, ...]` by the names of the model's prior.
    weights: `[S]`, sum 1.
    """

    values: dict[str, np.ndarray]
    weights: np.ndarray

    def mean(self, name: str) -> np.ndarray:
        """Average an unknown.

        name: as in the model's prior.
        """
        return np.tensordot(self.weights, self.values[name], 1)

    def sd(self, name: str) -> np.ndarray:
        """Compute the standard deviation of an unknown.

        name: as in the model's prior.
        """
        return np.sqrt(np.tensordot(self.weights, (self.values[name] - self.mean(name)) ** 2, 1))


class Learner:
    """An agent and its belief. Compiles when made; every call after that is one compiled call.

    agent: the agent.
    seed: of the run.
    events: number of events learnt.
    """

    def __init__(self, agent: Agent, seed: int = 0) -> None:
        self.agent, self.events = agent, 0
        self._live, self._ahead = build_live(agent), 0
        self._packed = self._live.init(jax.random.key(seed))
        self._blank = jax.tree.map(np.asarray, blank_request(agent))
        self._outcome = np.shape(example_event(agent.model).observation)
        self._read = jax.jit(self._read_belief)
        self._key = jax.random.key(seed + 1)
        self.belief()

    def decide(
        self,
        context: Sequence[float] = (),
        valid: Sequence[bool] | None = None,
        cost: Sequence[float] | None = None,
        now: float = 0.0,
    ) -> Choice:
        """Choose an action; the belief stays as it is.

        context: `[C]` numbers that describe the decision.
        valid: `[A]`, which candidates may be chosen; None for all.
        cost: `[A]`, for rules that weigh it; None for 1 each.
        now: seconds since the beginning, for beliefs that change with time.

        Raises: UsageError if a length does not fit or a number is not finite.
        """
        request = self._blank._replace(now=_fitted("now", now, ()), ahead=self._ahead)
        given = {"context": context, "valid": valid, "cost": cost}
        for name, value in given.items():
            if value is not None:
                blank = getattr(self._blank, name)
                fitted = _fitted(name, value, blank.shape).astype(blank.dtype)
                request = request._replace(**{name: fitted})
        if not request.valid.any():
            raise UsageError("valid: no candidate is left to choose")
        flat = np.asarray(self._live.decide(self._packed, self._live.write_request(request)))
        decision = self._live.read_decision(flat)
        self._ahead += 1
        arms = isinstance(self.agent.model.actions, Arms)
        action = int(decision.index) if arms else np.array(decision.action)
        propensity = float(decision.propensity[int(decision.index)])
        return Choice(action, propensity, np.array(decision.scores))

    def learn(
        self,
        action: Any,
        observation: Any,
        context: Sequence[float] = (),
        time: float = 0.0,
        weight: float = 1.0,
    ) -> bool:
        """Learn one event.

        action: number of the arm, or `[size]` numbers.
        observation: as the model's outcome: a number or `[k]`.
        context: `[C]`, as the decision had it.
        time: seconds since the beginning.
        weight: times that the event counts.

        Returns: whether the belief is still finite and its steps were accepted.
        Raises: UsageError if a length does not fit or a number is not finite.
        """
        event = host_event(
            self._laid_out(action, context),
            _fitted("observation", observation, self._outcome),
            _fitted("time", time, ()),
            self.events,
            _fitted("weight", weight, ()),
        )
        self._packed, out = self._live.learn(self._packed, self._live.write_event(event))
        self.events, self._ahead = self.events + 1, 0
        return bool(self._live.read_learned(np.asarray(out)).healthy)

    def belief(self, now: float = 0.0) -> Beliefs:
        """Read the belief as draws.

        now: seconds since the beginning, for beliefs that change with time.
        """
        values, weights = self._read(self._packed, np.asarray(now, float))
        return Beliefs({name: np.asarray(v) for name, v in values.items()}, np.asarray(weights))

    def _laid_out(self, action: Any, context: Sequence[float]) -> np.ndarray:
        space = self.agent.model.actions
        if not isinstance(space, Arms):
            return _fitted("action", action, (space.size,))
        if action not in range(space.count):
            raise UsageError(
                f"action: {action!r} is no arm: give a number from 0 to {space.count - 1}"
            )
        return np.r_[float(action), _fitted("context", context, (space.context,))]

    def _read_belief(self, packed: Packed, now: Array) -> tuple[dict[str, Array], Array]:
        agent = self.agent
        belief_key, draw_key = jax.random.split(self._key)
        state = build_learn(agent).unpack(packed)
        belief = agent.posterior.belief(belief_key, state.posterior, now)
        draws = as_draws(draw_key, belief, max(agent.particles, DRAWS))
        values = jax.vmap(unknowns_of(agent.model).constrain)(draws.values)
        return values, jax.numpy.exp(draws.log_weights)


def build(
    model: Model | str,
    posterior: str = "laplace",
    rule: str = "eig",
    *,
    particles: int | None = None,
    refine: int | None = None,
    proposer: str | None = None,
    candidates: int = 32,
    explore: float = 0.0,
    half_life: float | None = None,
    seed: int = 0,
) -> Learner:
    """Build an agent for a loop of your own, and compile it.

    model: a model, or its spec, such as `linear-gaussian:features=3`.
    posterior: spec of the inference method, such as `svgd:particles=16`.
    rule: spec of the rule that chooses.
    particles: S, draws of the belief; None for the posterior's default.
    refine: refine steps per event; None for 1 where the posterior needs refining, else 0.
    proposer: spec of the proposer of continuous actions; None for the default.
    candidates: A, candidates proposed per decision in a continuous action space.
    explore: probability of a uniformly random action.
    half_life: seconds after which an event counts half; None for no forgetting.
    seed: of the run.

    Raises: UsageError if there is no such name, or the parts do not fit each other.
    """
    check_draws(posterior, "uncertain.build")
    built = build_model(model) if isinstance(model, str) else model
    agent, _ = build_agent(
        built, posterior, rule, particles, refine, proposer, candidates, explore,
        half_life=half_life,
    )  # fmt: skip
    return Learner(agent, seed)


def _fitted(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The numbers as a host array of a shape, all finite."""
    try:
        numbers = np.asarray(value, float)
    except (TypeError, ValueError):
        raise UsageError(f"{name}: {value!r} is no number") from None
    if numbers.shape != shape:
        count, wanted = numbers.size, int(np.prod(shape))
        raise UsageError(
            f"{name}: {count} number{'s' * (count != 1)} given, the model takes {wanted}"
        )
    if not np.isfinite(numbers).all():
        raise UsageError(f"{name}: {value!r} is not finite")
    if name == "weight" and numbers < 0:
        raise UsageError(f"weight: {value!r} is negative")
    return numbers
