"""Eight schools with the priors of Inference Gym, data included.

Source: Inference Gym; Rubin (1981).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from ..base import Array, Distribution, Params, dist
from .base import Data, Start, Target

EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
STDDEVS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)


@dataclass(frozen=True)
class EightSchools(Target):
    """EFFECTS ~ Normal(school_effects, STDDEVS), which are Normal(avg_effect, exp(log_stddev)).

    The unknowns are non-centred: z = (school_effects - avg_effect) / exp(log_stddev).
    """

    data: Data
    file: ClassVar[str | None] = None

    def prior(self) -> dict[str, Distribution]:
        return {
            "avg_effect": dist.Normal(0.0, 10.0),
            "log_stddev": dist.Normal(5.0, 1.0),
            "z": dist.Normal(0.0, 1.0).expand((len(EFFECTS),)).to_event(1),
        }

    def start(self) -> dict[str, Start]:
        return {"log_stddev": (1.0, 1.0)}

    def rows(self) -> tuple[Any, Any]:
        return np.stack([np.arange(len(EFFECTS)), STDDEVS], axis=1), np.asarray(EFFECTS)

    def _effects(self, params: Params) -> Array:
        """The schools' effects `[8]`."""
        return params["avg_effect"] + jnp.exp(params["log_stddev"]) * params["z"]

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the observed effect of a school.

        params: `avg_effect`, `log_stddev`, `z [8]`.
        stats: none.
        action: `[2]`, the school and its standard deviation.
        """
        return dist.Normal(self._effects(params)[action[0].astype(jnp.int32)], action[1])

    def quantities(self, params: Params) -> Params:
        """Compute the compared quantities, with `school_effects` in place of `z`.

        params: the unknowns.
        """
        seen = {name: params[name] for name in ("avg_effect", "log_stddev")}
        return seen | {"school_effects": self._effects(params)}

    def recover(self, quantities: Params) -> Params:
        """Compute the unknowns from one draw of the compared quantities.

        quantities: with `school_effects` in place of `z`.
        """
        mean, log_scale = quantities["avg_effect"], quantities["log_stddev"]
        z = (quantities["school_effects"] - mean) / jnp.exp(log_scale)
        return {"avg_effect": mean, "log_stddev": log_scale, "z": z}
