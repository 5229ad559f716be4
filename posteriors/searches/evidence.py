"""The target of methods that search a space: prior times evidence, from statistics alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..base import Array, Model, provides
from ..errors import UsageError
from ..parts.unknowns import unknowns_of
from ..spaces.base import Space, has_ability, require_ability


@dataclass(frozen=True, eq=False)
class Evidence:
    """Posterior of a model over a space, up to a constant.

    model: the model.
    space: of its only unknown.
    """

    model: Model
    space: Space

    @cached_property
    def _local(self) -> bool:
        return provides(self.model, "local_scores") and has_ability(self.space, "local scores")

    def gather(self, stats: Any) -> Any:
        """Return what `log_target` reads: local scores where there are some, else the statistics.

        stats: the model's running statistics.
        """
        return self.model.local_scores(stats) if self._local else stats

    def log_target(self, value: Array, gathered: Any) -> Array:
        """Compute the log posterior of an object up to a constant, `[]` nats.

        value: `[n]`.
        gathered: from `gather`.
        """
        unknowns = unknowns_of(self.model)
        prior = unknowns.log_prior(value)
        if self._local:
            return prior + self.space.add_local(gathered, value)
        return prior + self.model.log_marginal(unknowns.constrain(value), gathered)


def evidence_of(model: Model) -> Evidence | None:
    """Return the posterior over a model's space; None where it has none, or no evidence.

    model: any model.
    """
    space = unknowns_of(model).space
    if space is None or not provides(model, "log_marginal"):
        return None
    return Evidence(model, space)


def require_evidence(posterior: str, model: Model) -> Evidence:
    """Return the posterior over a model's space, whose objects have neighbours.

    posterior: name of the method, for the error.
    model: any model.

    Raises: UsageError naming what is missing.
    """
    found = evidence_of(model)
    if found is None:
        lacks = "has no space" if unknowns_of(model).space is None else "has no log_marginal()"
        raise UsageError(
            f"posterior {posterior} searches a space of graphs or other candidates; model "
            f"{type(model).__name__} {lacks}: use smc or exact"
        )
    require_ability(f"posterior {posterior}", found.space, "neighbours", "use exact")
    return found
