"""`uncertain simulate`: write a world, acted in by an agent, as a log of complete events.

Not here: rolling out (decide/loop/rollout.py), or the line format (streams/ndjson.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..decide.loop.building import agent_of
from ..posteriors.base import Arms, Model, UsageError
from .environment import Environment, ExitStatus

if TYPE_CHECKING:
    from ..decide.loop.rollout import Trace
    from ..streams.worlds.base import World

RUN = "{run}"
"""Stands for the number of the run in the name of an output file."""


@dataclass(frozen=True)
class Simulate:
    """What to simulate; every field is a command-line option of the same name.

    model: what the agent believes; the world's own unless given. posterior: the cheapest that can
    hold the model's unknowns unless given. seeds: runs, each with a truth and a file of its own.
    """

    world: str
    steps: int = 1000
    output: str = "-"
    model: str | None = None
    posterior: str | None = None
    rule: str = "random"
    particles: int | None = None
    refine: int | None = None
    proposer: str | None = None
    candidates: int = 32
    explore: float = 0.0
    seeds: int = 1
    seed: int = 0


def simulate(options: Simulate, environment: Environment) -> int:
    """Simulate and write. Raises UsageError for anything the user can put right."""
    from ..decide.loop.rollout import roll
    from ..streams.files import STANDARD, open_output
    from ..streams.ndjson import Writer
    from ..streams.worlds.registry import build_world

    if options.seeds > 1 and RUN not in options.output:
        raise UsageError(
            f"--seeds {options.seeds} makes as many logs: put {RUN} into the output's name, "
            f"-o log-{RUN}.ndjson"
        )
    world = build_world(options.world)
    for note in world.notes:
        environment.say(note)
    model = model_in(options, world)
    agent, _ = agent_of(
        model, options.posterior or cheapest(model), options.rule, options.particles,
        options.refine, options.proposer, options.candidates, options.explore,
    )  # fmt: skip
    with ExitStack() as stack:
        writers = []
        for run in range(options.seeds):
            # Opened before any work, so that an unwritable path costs nothing.
            file = open_output(options.output.replace(RUN, str(run)), environment.data)
            if options.output != STANDARD:
                stack.enter_context(file)
            writers.append(Writer(file))
        with environment.messages().status(f"simulating {options.world}"):
            _, trace = roll(agent, world, options.steps, options.seed, options.seeds)
        for run, writer in enumerate(writers):
            for fields in lines(model, trace, run):
                writer.write(fields)
    return ExitStatus.DONE


def model_in(options: Simulate, world: World) -> Model:
    """The agent's model, which must act in the world's own space."""
    from ..posteriors.registry import build_model
    from ..streams.worlds.registry import believed

    if options.model is None and world.model is not None:
        return world.model
    model = build_model(believed(options.world, options.model))
    if world.model is not None and world.model.actions != model.actions:
        raise UsageError(
            f"world {options.world} takes {world.model.actions}, model {options.model} gives "
            f"{model.actions}; name another --model"
        )
    return model


def cheapest(model: Model) -> str:
    """A posterior for agents that need none, such as one that acts at random."""
    from ..posteriors.unknowns import unknowns_of

    if model.latent:
        return "smc:particles=8:refine=0"
    return "exact" if unknowns_of(model).discrete else "point:refine=0"


def lines(model: Model, trace: Trace, run: int) -> Iterator[dict[str, Any]]:
    """One run as complete events; candidates are listed where they are not simply all arms."""
    import jax
    import numpy as np

    from ..posteriors.base import provides
    from ..streams.ndjson import event_line

    arms = isinstance(model.actions, Arms)
    actions, observations = np.asarray(trace.action[run]), np.asarray(trace.observation[run])
    rewards = [None] * len(actions)
    if provides(model, "reward"):
        pay = jax.vmap(lambda action, y: model.reward(action, y))(actions, observations)
        rewards = np.asarray(pay).tolist()
    propensity = np.asarray(trace.propensity[run]).tolist()
    for step, (action, y) in enumerate(zip(actions.tolist(), observations.tolist(), strict=True)):
        yield event_line(
            step,
            float(step),
            int(action[0]) if arms else action,
            propensity[step],
            y,
            x=action[1:] or None if arms else None,
            actions=None if arms else np.asarray(trace.features[run][step]).tolist(),
            r=rewards[step],
        )


__all__ = ["Simulate", "simulate"]
