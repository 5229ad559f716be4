"""The loop in Python: find the dose that helps half of the patients.

python examples/python_door.py
"""

import random

from dose import Dose

import uncertain

random.seed(1)
agent = uncertain.build(Dose(), posterior="smc", rule="eig", candidates=16, seed=1)
for _ in range(40):
    dose = agent.decide().action  # the dose whose answer teaches most
    better = random.random() < 1 / (1 + 2.718 ** (-1.5 * (dose[0] - 6.0)))  # the truth: 6.0
    agent.learn(dose, better)
belief = agent.belief()
print(f"threshold {belief.mean('threshold'):.2f} ± {belief.sd('threshold'):.2f}")
