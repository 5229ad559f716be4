"""Chunks of a log: records encoded as arrays of fixed size.

See also: replay.py for the program that runs on them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Arms, Event
from ....posteriors.placeholders import example_event
from ....streams.formats.encoding import Encoder
from ....streams.formats.record import Record, check_propensity
from .host_arrays import LARGEST, is_usable
from .step import Agent, Request

BLOCKS = 100
"""Joint predictions a chunk; a chunk is this many times tau events."""
TAU = 10
"""Events predicted jointly."""


class Chunk(NamedTuple):
    """N events, padded with events of weight 0 at the end of the log.

    events: `Event [N, ...]`.
    reward: `[N]` logged; NaN where the log has none.
    propensity: `[N]` logged.
    chosen: `[N]` int32, index of the logged action among the candidates.
    request: inputs of the decision `[N, ...]`.
    """

    events: Event
    reward: Any
    propensity: Any
    chosen: Any
    request: Request


class Chunker:
    """Fills chunks from records; an error names the file, line and field."""

    def __init__(self, agent: Agent, encoder: Encoder, evaluate: bool, tau: int = TAU) -> None:
        self.encoder, self.evaluate = encoder, evaluate
        self.arms = isinstance(agent.model.actions, Arms)
        self.size = agent.model.actions.size
        self.events = tau * BLOCKS
        self.shape = np.shape(example_event(agent.model).observation)
        self.given = 0 if self.arms or not evaluate else encoder.capacity
        self._seen = 0

    def fill(self, records: list[Record]) -> Chunk:
        """Encode records as one padded chunk.

        records: at most `self.events` records.

        Returns: the chunk.
        Raises: UsageError if a record does not fit the model.
        """
        encoder, n, capacity = self.encoder, self.events, max(self.encoder.capacity, 1)
        real = np.dtype(jnp.result_type(float))
        # Host arrays that stand where the compiled program will see device ones.
        action: Any = np.zeros((n, self.size), real)
        observation: Any = np.zeros((n, *self.shape), real)
        now: Any = np.zeros(n, real)
        weight: Any = np.zeros(n, real)
        propensity, reward = np.ones(n), np.full(n, np.nan, real)
        chosen = np.zeros(n, np.int32)
        valid: Any = np.ones((n, capacity), bool)
        cost: Any = np.ones((n, capacity), real)
        features: Any = np.zeros((n, self.given, self.size), real)
        with np.errstate(over="ignore"):
            for i, record in enumerate(records):
                action[i] = encoder.action(record)
                observation[i] = encoder.observation(record)
                now[i], weight[i] = encoder.time(record), record.weight
                if record.r is not None:
                    reward[i] = record.r
                if not self.evaluate:
                    continue
                if record.propensity is None:
                    raise record.where.error(
                        "propensity", "missing", "judging a rule needs it; leave --rule out"
                    )
                check_propensity(record)
                propensity[i] = record.propensity
                chosen[i] = encoder.chosen_index(record)
                if record.actions is not None:
                    offered = encoder.candidates(record)
                    valid[i], cost[i] = offered.valid, offered.cost
                    if self.given:
                        features[i] = offered.features
        self._check(records, action, observation)
        ids: Any = self._seen + np.arange(n, dtype=np.int32)
        self._seen += len(records)
        events = Event(action, observation, now, ids, weight)
        context: Any = action[:, 1:] if self.arms else np.zeros((n, 0), real)
        ahead: Any = np.zeros(n, np.int32)
        request = Request(now, context, valid, cost, features, ahead)
        return Chunk(events, reward, propensity, chosen, request)

    def _check(self, records: list[Record], action: np.ndarray, observation: np.ndarray) -> None:
        for field, values in (("x" if self.arms else "action", action), ("y", observation)):
            if not is_usable(values):
                record = next(r for r, v in zip(records, values, strict=False) if not is_usable(v))
                problem = f"too large for float32 arithmetic, above {LARGEST:.0e}"
                raise record.where.error(field, problem, "rescale it")
