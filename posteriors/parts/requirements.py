"""Requirements that several methods have of a model, with one wording of the refusal."""

from __future__ import annotations

from ..base import Model
from ..errors import UsageError
from .unknowns import Unknowns, unknowns_of


def require_fixed_continuous(posterior: str, model: Model) -> Unknowns:
    """Return the coordinates of a model whose unknowns are continuous and stand still.

    posterior: name of the method, for the error.
    model: the model.

    Raises: UsageError if the unknowns are discrete or move.
    """
    unknowns = unknowns_of(model)
    if unknowns.discrete or model.latent:
        kind = "discrete" if unknowns.discrete else "moving"
        raise UsageError(
            f"posterior {posterior} needs fixed continuous unknowns; those of "
            f"{type(model).__name__} are {kind}: use smc or exact"
        )
    return unknowns


def require_proper_prior(posterior: str, model: Model, remedy: str) -> None:
    """Refuse a model whose prior cannot be drawn from, for a method made of prior draws.

    posterior: name of the method, for the error.
    model: the model.
    remedy: the method or option to use instead.

    Raises: UsageError if the prior is not proper.
    """
    if not unknowns_of(model).proper:
        raise UsageError(
            f"posterior {posterior} is made of prior draws, and {type(model).__name__} has a prior "
            f"that is flat, or has a factor or start besides: use {remedy}"
        )
