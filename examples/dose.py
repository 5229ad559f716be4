"""A model of your own: which dose helps half of the patients, and how steeply?

uncertain simulate examples/dose.py:Dose --steps 200 -o dose.ndjson
uncertain run dose.ndjson --model examples/dose.py:Dose --posterior smc --rule eig
uncertain bench examples/dose.py:Dose --posterior laplace,smc
"""

from dataclasses import dataclass

import jax
from uncertain.posteriors import Model, Vector, dist


@dataclass(frozen=True)
class Dose(Model):
    """P(better) rises with the dose, around an unknown threshold.

    harm: cost of one unit of the dose.
    """

    harm: float = 0.1
    actions = Vector(1, 0.0, 10.0)

    def prior(self):
        return {"threshold": dist.Normal(5.0, 2.0), "slope": dist.LogNormal(0.0, 0.5)}

    def predict(self, params, stats, action):
        return dist.Bernoulli(logits=params["slope"] * (action[0] - params["threshold"]))

    def reward(self, action, observation):  # greedy, ucb and thompson maximise it
        return observation - self.harm * action[0]

    def design(self):  # random actions
        return dist.Uniform(0.0, 10.0).expand((1,)).to_event(1)

    def focus(self, key, params):  # an informative dose if params are near the truth
        return params["threshold"] + jax.random.normal(key, (1,)) / params["slope"]
