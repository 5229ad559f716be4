"""Eight schools, non-centred.

Source: posteriordb, eight_schools-eight_schools_noncentered; Rubin (1981).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..base import Array, Distribution, Params, dist
from .base import Data, Start, Target


@dataclass(frozen=True)
class EightSchools(Target):
    """y_j ~ Normal(theta_j, sigma_j) with theta_j = mu + tau z_j, z_j standard normal."""

    data: Data

    def prior(self) -> dict[str, Distribution]:
        schools = int(self.data["J"])
        return {
            "z": dist.Normal(0.0, 1.0).expand((schools,)).to_event(1),
            "mu": dist.Normal(0.0, 5.0),
            "tau": dist.HalfCauchy(5.0),
        }

    def start(self) -> dict[str, Start]:
        return {"tau": (1.0, 1.0)}

    def rows(self) -> tuple[Any, Any]:
        school = np.arange(int(self.data["J"]))
        return np.stack([school, self.data["sigma"]], axis=1), self.data["y"]

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the observed effect of a school.

        params: `mu`, `tau`, `z [J]`.
        stats: none.
        action: `[2]`, the school and its standard deviation.
        """
        effect = params["mu"] + params["tau"] * params["z"][action[0].astype(jnp.int32)]
        return dist.Normal(effect, action[1])

    def quantities(self, params: Params) -> Params:
        """Compute the compared quantities, with `theta` in place of `z`.

        params: the unknowns.
        """
        mu, tau = params["mu"], params["tau"]
        return {"theta": mu + tau * params["z"], "mu": mu, "tau": tau}

    def recover(self, quantities: Params) -> Params:
        """Compute the unknowns from one draw of the compared quantities.

        quantities: with `theta` in place of `z`.
        """
        mu, tau = quantities["mu"], quantities["tau"]
        return {"z": (quantities["theta"] - mu) / tau, "mu": mu, "tau": tau}
