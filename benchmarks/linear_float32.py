"""Does the linear recursion survive 100 000 events in float32? Compared with the float64 answer.

    python benchmarks/linear_float32.py

Prints, for several sizes, noises and scales of features, how far the mean is in posterior standard
deviations, the standard deviations in percent, and the variance of a prediction at a new event in
percent, from the batch answer in float64. `mixed`: the first feature is always 1, the others range
from 1e-6 to 1e9. `clock`: the first is always 1, the second is the time in seconds since 1970.
"""

import jax
import jax.numpy as jnp
import numpy as np
from uncertain.posteriors import Event
from uncertain.posteriors.methods.laplace import Laplace, build
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.parts.block_gaussian import variance_along

EVENTS, BLOCK = 100_000, 5_000
MIXED, CLOCK = "mixed", "clock"
CASES = [
    *((4, 0.5, scale) for scale in (1e-6, 1e-3, 1.0, 1e3, 1e6, 1e9)),
    *((16, noise, 1.0) for noise in (0.5, 0.05)),
    (8, 0.5, MIXED),
    (3, 0.5, CLOCK),
]


def features_of(random: np.random.Generator, count: int, scale: float | str) -> np.ndarray:
    """Return `[n + 1, count]` features in float32; the last row is a new event."""
    x = random.normal(size=(EVENTS + 1, count))
    if scale == MIXED:
        x *= np.geomspace(1e-6, 1e9, count)
    elif scale == CLOCK:
        x[:, 1] = 1.7e9 + 600.0 * np.arange(EVENTS + 1)
    else:
        x *= scale
    if isinstance(scale, str):
        x[:, 0] = 1.0
    return x.astype(np.float32)


def errors(count: int, noise: float, scale: float | str, seed: int) -> tuple[float, float, float]:
    """Return the worst error of the mean (posterior sd), of an sd and of a variance (share)."""
    random = np.random.default_rng(seed)
    x = features_of(random, count, scale)
    wide = x.astype(float)
    # Outcomes of size 1, whatever the features' scale.
    weights = random.normal(size=count) / np.maximum(np.sqrt(np.mean(wide**2, 0)), 1.0)
    y = (wide @ weights + noise * random.normal(size=EVENTS + 1)).astype(np.float32)
    posterior = build(Linear(arms=0, features=count, noise=noise), Laplace())
    absorb = jax.jit(posterior.absorb)
    state = posterior.init(jax.random.key(0))
    for start in range(0, EVENTS, BLOCK):
        part = slice(start, start + BLOCK)
        ones, ids = jnp.ones(BLOCK), jnp.arange(start, start + BLOCK, dtype=jnp.int32)
        events = Event(jnp.asarray(x[part]), jnp.asarray(y[part]), ones, ids, ones)
        state = absorb(jax.random.key(start + 1), state, events)
    belief = posterior.belief(jax.random.key(0), state, jnp.zeros(()))
    mean, sd, variance = batch_answer(wide[:-1], y[:-1].astype(float), noise, wide[-1])
    got = np.sqrt(np.diag(np.asarray(belief.covariance[0], float)))
    far = np.max(np.abs(np.asarray(belief.mean, float) - mean) / sd)
    predicted = float(variance_along(belief, jnp.asarray(x[-1])))
    return float(far), float(np.max(np.abs(got / sd - 1))), abs(predicted / variance - 1)


def batch_answer(
    x: np.ndarray, y: np.ndarray, noise: float, new: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return mean and sd of the weights and the variance of a prediction, by QR in float64."""
    # Columns of like length first: else the answer in float64 would be no better.
    size = np.maximum(np.sqrt(np.sum(x**2, 0)), noise)
    rows = np.concatenate([x / size / noise, np.diag(1 / size)])
    q, r = np.linalg.qr(rows)
    mean = np.linalg.solve(r, q.T @ np.concatenate([y / noise, np.zeros(len(size))])) / size
    root = np.linalg.inv(r) / size[:, None]
    return mean, np.sqrt(np.sum(root**2, 1)), float(np.sum((root.T @ new) ** 2))


def main() -> None:
    print(f"{EVENTS} events, float32, jax {jax.__version__}, worst of seeds 0, 1, 2")
    print("features  noise  scale  mean error, sd   sd error, %  variance error, %")
    for count, noise, scale in CASES:
        worst = np.max([errors(count, noise, scale, seed) for seed in range(3)], axis=0)
        shown = scale if isinstance(scale, str) else f"{scale:.0e}"
        print(
            f"{count:8d}  {noise:5.2f}  {shown:>5}  {worst[0]:14.1e}  {100 * worst[1]:12.1e}"
            f"  {100 * worst[2]:17.1e}"
        )


if __name__ == "__main__":
    main()
