"""The body of `uncertain train`: train a policy for a model and write its file.

See also: decide/training for the training, posteriors/parts/policy_file.py for the file.
"""

from __future__ import annotations

import json
from dataclasses import replace

from ...decide.training import training as core
from ...decide.training.settings import default_settings
from ...decide.training.training import Progress
from ...posteriors.parts.policy_file import save_policy
from ...posteriors.parts.policy_network import usual_shape
from ...posteriors.registry import build_model
from ...streams.worlds.registry import agent_model_spec
from ..commands.train import TrainOptions
from ..environment import Environment, ExitStatus
from ..tables.progress_bar import show_progress
from .tune import check_writable

MINUTE, HOUR = 60.0, 3600.0


def train(options: TrainOptions, environment: Environment) -> ExitStatus:
    """Train, score and write a policy.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status.
    Raises: UsageError for wrong options or input.
    """
    spec = agent_model_spec(options.world)
    model = build_model(spec)
    names = ("steps", "batch", "contrasts", "horizon", "rate", "decay", "seed")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    settings = replace(default_settings(model), **given)
    shape = usual_shape(model)
    if options.width is not None:
        shape = replace(shape, width=options.width)
    training = core.Training(spec, model, settings, shape)
    if options.resume:
        training.resume(options.output)
    else:
        check_writable(options.output)
    with show_progress(environment) as report:
        report(f"compiling for {training.device}", 0.0)

        def show(state: Progress) -> None:
            share = state.step / state.steps
            if options.budget:
                share = max(share, 1 - state.left / options.budget)
            bound, left = f"bound {state.bound:.2f}", f"{_spell(state.left)} left"
            text = f"{state.step} of {state.steps} steps, {bound}, {left}"
            report(text, min(max(share, 0.0), 1.0))

        made = core.train(training, options.output, show, options.budget, environment.clock)
        report("scoring", 1.0)
        made = replace(made, reached=training.score(options.rollouts, options.spce))
    save_policy(options.output, made)
    reached = made.reached or {}
    low, high = reached["spce"], reached["snmc"]
    if (console := environment.console()) is not None:
        console.print(
            f"{options.output}: {made.trained['steps']} steps in {_spell(made.trained['seconds'])} "
            f"on {made.trained['device']}; sPCE {low['mean']:.3f} ± {low['se']:.3f}, sNMC "
            f"{high['mean']:.3f} ± {high['se']:.3f} nats (cap {reached['cap']:.2f}, "
            f"{options.rollouts} rollouts)",
            highlight=False,
        )
        return ExitStatus.DONE
    row = {
        "file": options.output, "model": spec, "horizon": made.horizon, **made.trained,
        "reached": reached, "settings": made.settings, "versions": made.versions,
    }  # fmt: skip
    environment.data.write(json.dumps(row).encode() + b"\n")
    return ExitStatus.DONE


def _spell(seconds: float) -> str:
    """Format a duration."""
    if seconds >= HOUR:
        return f"{seconds / HOUR:.1f} h"
    if seconds >= MINUTE:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds:.0f} s"
