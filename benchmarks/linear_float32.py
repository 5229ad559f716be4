"""Does the linear recursion survive 100 000 events in float32? Compared with the float64 answer.

    python benchmarks/linear_float32.py

Prints, for several sizes and noises, how far the mean is in posterior standard deviations and the
covariance in relative Frobenius norm from the batch answer in float64.
"""

import jax
import jax.numpy as jnp
import numpy as np
from uncertain.posteriors import Event
from uncertain.posteriors.methods.laplace import Laplace, build
from uncertain.posteriors.models.linear import Linear

EVENTS, BLOCK = 100_000, 5_000


def errors(features: int, noise: float, seed: int) -> tuple[float, float]:
    """Worst error of the mean (posterior sd) and error of the covariance (relative)."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(EVENTS, features)).astype(np.float32)
    weights = random.normal(size=features)
    y = (x @ weights + noise * random.normal(size=EVENTS)).astype(np.float32)
    posterior = build(Linear(arms=0, features=features, noise=noise), Laplace())
    absorb = jax.jit(posterior.absorb)
    state = posterior.init(jax.random.key(0))
    for start in range(0, EVENTS, BLOCK):
        part = slice(start, start + BLOCK)
        ones, ids = jnp.ones(BLOCK), jnp.arange(start, start + BLOCK, dtype=jnp.int32)
        events = Event(jnp.asarray(x[part]), jnp.asarray(y[part]), ones, ids, ones)
        state = absorb(jax.random.key(start + 1), state, events)
    belief = posterior.belief(jax.random.key(0), state, jnp.zeros(()))
    wide = x.astype(float)
    covariance = np.linalg.inv(np.eye(features) + wide.T @ wide / noise**2)
    mean = covariance @ wide.T @ y.astype(float) / noise**2
    sd = np.sqrt(np.diag(covariance))
    got = np.asarray(belief.covariance[0], float)
    far = np.max(np.abs(np.asarray(belief.mean, float) - mean) / sd)
    return float(far), float(np.linalg.norm(got - covariance) / np.linalg.norm(covariance))


def main() -> None:
    print(f"{EVENTS} events, float32, jax {jax.__version__}, worst of seeds 0, 1, 2")
    print("features  noise  mean error, sd  covariance error, relative")
    for features, noise in ((4, 0.5), (16, 0.5), (16, 0.05)):
        worst = np.max([errors(features, noise, seed) for seed in range(3)], axis=0)
        print(f"{features:8d}  {noise:5.2f}  {worst[0]:14.1e}  {worst[1]:26.1e}")


if __name__ == "__main__":
    main()
