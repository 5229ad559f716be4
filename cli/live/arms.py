"""The agent of `uncertain run` and its arms: named (`--arms`) or as they arrive (`--new-arms`).

See also: streams/formats/arms.py for the slots of arms.
"""

from __future__ import annotations

from ...decide.loop.core.agent import build_agent, with_attend
from ...decide.loop.core.step import Agent
from ...posteriors.base import Arms, Model, Vector
from ...posteriors.errors import UsageError
from ...posteriors.registry import MODELS
from ...posteriors.specs import Spec, parse_spec
from ...streams.formats.arms import ArmSlots
from ..commands.run import RunOptions


def with_arms(options: RunOptions) -> str:
    """Return the model's spec with the number of named arms filled in.

    options: of the command.
    """
    spec = parse_spec(options.model)
    fields = getattr(MODELS.get(spec.target), "__dataclass_fields__", {})
    settings = dict(spec.settings)
    if options.arms and "arms" in fields and not options.new_arms:
        settings.setdefault("arms", len(options.arms))
    return str(Spec(spec.target, tuple(sorted(settings.items()))))


def agent_for(options: RunOptions, model: Model) -> tuple[Agent, str]:
    """Build the agent of single actions.

    options: of the command.
    model: named by its spec.
    Returns: the agent, and its posterior's spec without `refine`.
    """
    posterior = with_attend(options.posterior, options.attend)
    return build_agent(
        model, posterior, options.rule, options.particles, options.refine,
        options.proposer, options.candidates, options.explore, think=int(options.think > 0),
        half_life=options.half_life,
    )  # fmt: skip


def check_arms(options: RunOptions, space: Arms | Vector) -> None:
    """Check that named arms fit the model's.

    options: of the command.
    space: the model's actions.
    Raises: UsageError if they do not.
    """
    count = space.count if isinstance(space, Arms) else 0
    there = f"{count} arms" if count else "no arms"
    if options.new_arms and not count:
        raise UsageError(
            f"--new-arms: model {options.model} has no arms; candidates with features come and go "
            "in any request"
        )
    named = len(options.arms)
    if named > count or (named and named < count and not options.new_arms):
        raise UsageError(f"--arms names {named}, model {options.model} has {there}")


def format_arm_count(slots: ArmSlots) -> list[str]:
    """Format the number of known arms, if arms may arrive.

    slots: of the encoder.
    """
    if not slots.open:
        return []
    count = len(slots)
    return [f"{count} arm{'s are' if count != 1 else ' is'} known, in {slots.count} places"]
