"""Problems of a posterior collection: target, reference moments, and a backend's record on them.

See also: streams/formats/posteriordb.py for files, estimate.py for running a backend,
../reference/reference_draws.py for references of the judge's own.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ....posteriors.errors import UsageError
from ....posteriors.parts.unknowns import unknowns_of
from ....posteriors.targets.base import Target, target_events
from ....posteriors.targets.registry import build_target, find_target
from ....streams.formats.posteriordb import PosteriorFiles, read_data, read_draws, read_moments
from ..records.machine import device_kind, package_versions
from ..records.parity_record import ParityRecord
from .estimate import Effort, estimate_moments
from .moments import (
    FALSE_ALARM,
    Moments,
    compare_moments,
    compute_moments,
    published_moments,
    quantity_labels,
    quantity_shapes,
    quantity_values,
)
from .stein import stein_errors, unconstrained_draws

Own = Callable[[Target], tuple[Any, dict[str, Any]]]
"""Returns draws `[n, D]` of the judge's own in unconstrained coordinates, and their description."""


class ParityProblem(NamedTuple):
    """A posterior with its reference."""

    name: str
    model: str
    target: Target
    reference: Moments | None
    """None if there is none."""
    kind: str
    """"draws", "moments", or the method of the judge's own draws."""
    stein: float | None
    """Largest deviation from Stein's identities in standard errors; None without draws."""
    why: str | None
    """Reason not to use the reference; None if there is none."""


def load_target(source: PosteriorFiles, models: Path | None, spec: str | None) -> Target:
    """Load the target of a posterior in a collection.

    source: files of the posterior.
    models: folder of the user's model files; None for those of the package only.
    spec: of the model; None to find it by name.
    Raises: UsageError if there is no such model.
    """
    made = find_target(source.name, source.model, models, spec)
    data = read_data(source, getattr(made, "file", ""))
    return build_target(source.name, made, data)


def load_problem(source: PosteriorFiles, target: Target, own: Own | None = None) -> ParityProblem:
    """Load a problem: with reference draws or moments of the collection, else draws of the judge.

    source: files of the posterior.
    target: of the posterior.
    own: makes draws if the collection has none. If it has moments, they only serve to test Stein's
        identities.
    Raises: UsageError if the reference has another number of quantities than the target.
    """
    u, said, why = None, {}, None
    names = quantity_labels(target)
    if source.draws is not None:
        draws = read_draws(source.draws)
        u, kind = unconstrained_draws(target, draws), "draws"
        flat = [np.asarray(draws[name]).reshape(len(u), -1) for name in quantity_shapes(target)]
        reference = compute_moments(np.hstack(flat), names)
    else:
        if own is not None:
            u, said = own(target)
            why = said.get("why")
        kind = said.get("kind", "none")
        reference = reference_moments(target, u, said) if u is not None and why is None else None
        if source.truth is not None:
            reference, kind = (
                published_moments(
                    read_moments(source.truth, tuple(quantity_shapes(target))), names
                ),
                "moments",
            )
    if reference is not None and len(reference.mean) != len(names):
        raise UsageError(
            f"{source.name}: {len(reference.mean)} reference numbers for the {len(names)} "
            f"quantities of its model"
        )
    worst = stein_errors(target, u).worst if u is not None and len(u) > 1 else None
    return ParityProblem(source.name, type(target).__name__, target, reference, kind, worst, why)


def reference_moments(target: Target, u: Any, description: dict[str, Any]) -> Moments:
    """Compute moments of the judge's own draws, with errors by their effective sample size.

    target: of the draws.
    u: draws `[n, D]`.
    description: of the draws; its ess is used.
    """
    values = jax.jit(jax.vmap(lambda v: quantity_values(target, v)))(u)
    return compute_moments(values, quantity_labels(target), description.get("ess"))


def judge_posterior(subject: ParityProblem, text: str, effort: Effort) -> ParityRecord:
    """Run a backend on a problem and build the record.

    subject: the problem.
    text: spec of the backend.
    effort: size of the comparison.
    """
    reference = subject.reference
    count = len(quantity_labels(subject.target))
    centre = reference.mean if reference is not None else np.zeros(count)
    found = estimate_moments(subject.target, text, effort, centre)
    how = None if reference is None else compare_moments(reference, found.first, found.second)
    return ParityRecord(
        target=subject.name,
        model=subject.model,
        posterior=text,
        particles=effort.particles,
        refine=effort.refine,
        warm=effort.warm,
        runs=effort.runs,
        seed=effort.seed,
        unknowns=unknowns_of(subject.target).size,
        events=len(target_events(subject.target)[0]),
        whole=subject.target.whole,
        reference=subject.kind,
        why=subject.why,
        stein=subject.stein,
        worst=how and how.worst,
        worst_of=how and how.label,
        median=how and how.median,
        sd_ratio=how and how.sd_ratio,
        noise=how and how.noise,
        z=how and how.z,
        limit=how and how.limit,
        false_alarm=FALSE_ALARM,
        passed=how and how.passed,
        diverged=how and how.diverged,
        mean=dict(zip(quantity_labels(subject.target), found.first.mean(0).tolist(), strict=True)),
        work=found.work,
        refines=found.refines,
        unhealthy=max(found.unhealthy, how.diverged if how else 0.0),
        seconds=found.seconds,
        compile=found.compile,
        x64=bool(jax.config.read("jax_enable_x64")),
        versions=package_versions("blackjax"),
        device=device_kind(),
        host=platform.node(),
    )
