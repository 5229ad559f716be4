"""What is believed, and how it is updated."""

from .base import (
    Arms,
    Draws,
    Event,
    Gaussian,
    Info,
    Model,
    Posterior,
    Summary,
    UsageError,
    Vector,
    dist,
    provides,
)
from .registry import build_posterior, models, posteriors
from .target import Data, Target

__all__ = [
    "Arms", "Data", "Draws", "Event", "Gaussian", "Info", "Model", "Posterior", "Summary", "Target",
    "UsageError", "Vector", "build_posterior", "dist", "models", "posteriors", "provides",
]  # fmt: skip
