"""The body of `uncertain train`: a model in, a trained policy's file out.

Not here: the training (decide/training), or the file's layout (posteriors/artefact.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .environment import Environment, ExitStatus

if TYPE_CHECKING:
    from ..decide.training.training import Progress

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True)
class TrainOptions:
    """What the command line said; None where it said nothing. budget: seconds."""

    world: str
    output: str
    steps: int | None = None
    batch: int | None = None
    contrasts: int | None = None
    horizon: int | None = None
    rate: float | None = None
    decay: float | None = None
    seed: int | None = None
    width: int | None = None
    budget: float | None = None
    resume: bool = False
    rollouts: int = 2048
    spce: int = 10_000


def train(options: TrainOptions, environment: Environment) -> ExitStatus:
    """Train, score, write the file, and say what was reached."""
    from ..decide.training import training as core
    from ..posteriors.artefact import save
    from ..posteriors.policy import usual_shape
    from ..posteriors.registry import build_model
    from ..streams.worlds.registry import believed
    from .bench import progress
    from .tune import check_writable

    spec = believed(options.world)
    model = build_model(spec)
    names = ("steps", "batch", "contrasts", "horizon", "rate", "decay", "seed")
    said = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    settings = replace(core.usual_settings(model), **said)
    shape = usual_shape(model)
    if options.width is not None:
        shape = replace(shape, width=options.width)
    training = core.Training(spec, model, settings, shape)
    if options.resume:
        training.resume(options.output)
    else:
        check_writable(options.output)
    with progress(environment) as report:
        report(f"compiling for {training.device}", 0.0)

        def told(at: Progress) -> None:
            share = at.step / at.steps
            if options.budget:
                share = max(share, 1 - at.left / options.budget)
            text = f"{at.step} of {at.steps} steps, bound {at.bound:.2f}, {spell(at.left)} left"
            report(text, min(max(share, 0.0), 1.0))

        made = core.train(training, options.output, told, options.budget, environment.clock)
        report("scoring", 1.0)
        made = core.with_score(made, training.score(options.rollouts, options.spce))
    save(options.output, made)
    reached = made.reached or {}
    low, high = reached["spce"], reached["snmc"]
    if (console := environment.console()) is not None:
        console.print(
            f"{options.output}: {made.trained['steps']} steps in {spell(made.trained['seconds'])} "
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


def spell(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds >= HOUR:
        return f"{seconds / HOUR:.1f} h"
    if seconds >= MINUTE:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds:.0f} s"
