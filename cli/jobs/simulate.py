"""The body of `uncertain simulate`: write an agent's runs in a world as complete events.

See also: decide/loop/core/rollout.py for the runs, streams/formats/ndjson.py for the lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import jax
import numpy as np

from ...decide.loop.core.agent import build_agent
from ...decide.loop.core.rollout import Trace, roll_out
from ...posteriors.base import Arms, Model, provides
from ...posteriors.errors import UsageError
from ...posteriors.parts.unknowns import unknowns_of
from ...posteriors.registry import build_model
from ...streams.formats.files import STANDARD, open_output
from ...streams.formats.ndjson import LineWriter, event_fields
from ...streams.worlds.base import World
from ...streams.worlds.registry import agent_model_spec, build_world
from ..commands.simulate import SimulateOptions
from ..environment import Environment, ExitStatus

RUN = "{run}"
"""Stands for the number of the run in the name of an output file."""


def simulate(options: SimulateOptions, environment: Environment) -> int:
    """Simulate runs and write them.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status.
    Raises: UsageError for wrong options or input.
    """
    if options.seeds > 1 and RUN not in options.output:
        raise UsageError(
            f"--seeds {options.seeds} makes as many logs: put {RUN} into the output's name, "
            f"-o log-{RUN}.ndjson"
        )
    world = build_world(options.world)
    for note in world.notes:
        environment.say(note)
    model = _model_in(options, world)
    agent, _ = build_agent(
        model, options.posterior or _cheapest(model), options.rule, options.particles,
        options.refine, options.proposer, options.candidates, options.explore,
    )  # fmt: skip
    with ExitStack() as stack:
        writers = []
        for run in range(options.seeds):
            # Opened before any work, so that an unwritable path costs nothing.
            file = open_output(options.output.replace(RUN, str(run)), environment.data)
            if options.output != STANDARD:
                stack.enter_context(file)
            writers.append(LineWriter(file))
        with environment.messages().status(f"simulating {options.world}"):
            _, trace = roll_out(agent, world, options.steps, options.seed, options.seeds)
        for run, writer in enumerate(writers):
            for fields in _lines(model, trace, run):
                writer.write(fields)
    return ExitStatus.DONE


def _model_in(options: SimulateOptions, world: World) -> Model:
    """Return the agent's model, which must act in the world's space."""
    if options.model is None and world.model is not None:
        return world.model
    model = build_model(agent_model_spec(options.world, options.model))
    if world.model is not None and world.model.actions != model.actions:
        raise UsageError(
            f"world {options.world} takes {world.model.actions}, model {options.model} gives "
            f"{model.actions}; name another --model"
        )
    return model


def _cheapest(model: Model) -> str:
    """Return a cheap posterior for agents that act without a belief."""
    if model.latent:
        return "smc:particles=8:refine=0"
    return "exact" if unknowns_of(model).discrete else "point:refine=0"


def _lines(model: Model, trace: Trace, run: int) -> Iterator[dict[str, Any]]:
    """Return one run as complete events; candidates are listed unless they are all arms."""
    arms = isinstance(model.actions, Arms)
    actions, observations = np.asarray(trace.action[run]), np.asarray(trace.observation[run])
    rewards = [None] * len(actions)
    if provides(model, "reward"):
        pay = jax.vmap(lambda action, y: model.reward(action, y))(actions, observations)
        rewards = np.asarray(pay).tolist()
    propensity = np.asarray(trace.propensity[run]).tolist()
    for step, (action, y) in enumerate(zip(actions.tolist(), observations.tolist(), strict=True)):
        yield event_fields(
            step,
            float(step),
            int(action[0]) if arms else action,
            propensity[step],
            y,
            x=action[1:] or None if arms else None,
            actions=None if arms else np.asarray(trace.features[run][step]).tolist(),
            r=rewards[step],
        )


__all__ = ["simulate"]
