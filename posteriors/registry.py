"""Every model and posterior by name. To add one: its file, and one line here.

Not here: rules, proposers (decide/rules) and worlds (streams/worlds).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from . import (
    amortised,
    bonus,
    dropout,
    ensemble,
    epinet,
    exact,
    hmc,
    laplace,
    last_layer,
    point,
    smc,
    subspace_ekf,
    svgd,
    swag,
    variational,
)
from .base import Arms, Model, Options, Posterior, UsageError, Vector
from .contract import check_model, check_posterior
from .forgetting import cannot, forgetting, refuse_what_cannot_fade, seconds_of
from .loading import Spec, call, configure, find, parse
from .models.binomial import Binomial
from .models.causal_pair import CausalPair
from .models.death_process import DeathProcess
from .models.discounting import Discounting
from .models.drifting import Drifting
from .models.finite import Finite
from .models.linear import Linear
from .models.location import Location
from .models.logistic import Logistic
from .models.mlp import MLP
from .models.noisy_or import NoisyOr
from .models.number_game import NumberGame
from .models.poisson import Poisson
from .models.surface import Surface
from .models.testbed import Testbed

POSTERIORS: dict[str, tuple[type, Any]] = {
    "amortised": (amortised.Amortised, amortised.build),
    "bonus": (bonus.Bonus, bonus.build),
    "dropout": (dropout.Dropout, dropout.build),
    "ensemble": (ensemble.Ensemble, ensemble.build),
    "epinet": (epinet.Epinet, epinet.build),
    "exact": (exact.Exact, exact.build),
    "hmc": (hmc.HMC, hmc.build),
    "laplace": (laplace.Laplace, laplace.build),
    "last-layer": (last_layer.LastLayer, last_layer.build),
    "point": (point.Point, point.build),
    "smc": (smc.SMC, smc.build),
    "subspace-ekf": (subspace_ekf.SubspaceEKF, subspace_ekf.build),
    "svgd": (svgd.SVGD, svgd.build),
    "swag": (swag.Swag, swag.build),
    "variational": (variational.Variational, variational.build),
}

MODELS: dict[str, type[Model]] = {
    "binomial": Binomial,
    "causal-pair": CausalPair,
    "death-process": DeathProcess,
    "discounting": Discounting,
    "drifting": Drifting,
    "finite": Finite,
    "linear": Linear,
    "location": Location,
    "logistic": Logistic,
    "mlp": MLP,
    "noisy-or": NoisyOr,
    "number-game": NumberGame,
    "poisson": Poisson,
    "surface": Surface,
    "testbed": Testbed,
}

HALF_LIFE = "half_life"
"""An option of every posterior: seconds after which an event counts half."""


def posteriors() -> dict[str, str]:
    """Built-in posteriors: name -> first line of what it is."""
    return {name: summary(build.__module__) for name, (_, build) in POSTERIORS.items()}


def models() -> dict[str, str]:
    """Built-in models: name -> first line of what it is."""
    return {name: summary(model.__module__) for name, model in MODELS.items()}


def summary(module: str) -> str:
    """First line of a module's docstring."""
    import sys

    return (sys.modules[module].__doc__ or "").strip().splitlines()[0].rstrip(".")


@lru_cache(maxsize=256)
def build_model(text: str) -> Model:
    """The model that `name:key=value` or `file.py:object` stands for, checked."""
    spec = parse(text)
    found = find("model", spec.target, MODELS)
    settings = dict(spec.settings)
    if isinstance(found, type) and dataclasses.is_dataclass(found):
        model = configure("model", spec.target, found, settings)
    elif isinstance(found, Model):
        if settings:
            raise UsageError(f"model {spec.target} is already built: it takes no options")
        model = found
    elif callable(found):
        model = call("model", spec.target, found, **settings)
    else:
        raise UsageError(f"model {spec.target} is {type(found).__name__}, not a model")
    check_model(spec.target, model)
    return model


def fitted(text: str, space: Arms | Vector) -> str:
    """A model's spec with arms, features and intercept as the actions need where not given."""
    spec = parse(text)
    fields = getattr(MODELS.get(spec.target), "__dataclass_fields__", {})
    found: dict[str, Any] = {}
    if {"arms", "features"} <= set(fields):
        if isinstance(space, Arms):
            found = {"arms": space.count, "features": space.context}
        else:
            found = {"arms": 0, "features": space.size}
            if "intercept" in fields:
                found["intercept"] = True
    settings = {**found, **dict(spec.settings)}
    return str(Spec(spec.target, tuple(sorted(settings.items()))))


def takes(text: str, field: str) -> bool:
    """Whether a posterior has an option called `field`."""
    import inspect

    found = find("posterior", parse(text).target, POSTERIORS)
    if isinstance(found, tuple):
        return field in {f.name for f in dataclasses.fields(found[0])}
    return field in inspect.signature(found).parameters


def options_of(text: str) -> type[Options]:
    """What a posterior's options say of themselves; the plain defaults for a user's function."""
    found = find("posterior", parse(text).target, POSTERIORS)
    made = found[0] if isinstance(found, tuple) else Options
    return made if issubclass(made, Options) else Options


def usual(text: str, field: str) -> Any:
    """The default of a posterior's option `field`; None where it has no such option or default."""
    import inspect

    found = find("posterior", parse(text).target, POSTERIORS)
    if isinstance(found, tuple):
        defaults = {f.name: f.default for f in dataclasses.fields(found[0])}
        return defaults.get(field)
    parameter = inspect.signature(found).parameters.get(field)
    return None if parameter is None or parameter.default is parameter.empty else parameter.default


def build_posterior(text: str, model: Model, extra: Mapping[str, Any] | None = None) -> Posterior:
    """The posterior that `name:key=value` or `file.py:object` stands for, bound to a model.

    The same arguments give the identical callables, so that nothing is compiled twice. With
    `half_life=SECONDS` any posterior forgets.
    """
    spec = parse(text)
    settings = {**(extra or {}), **dict(spec.settings)}
    return _build(Spec(spec.target, tuple(sorted(settings.items()))), model)


@lru_cache(maxsize=256)
def _build(spec: Spec, model: Model) -> Posterior:
    found = find("posterior", spec.target, POSTERIORS)
    if HALF_LIFE in dict(spec.settings):
        return _forgetting(spec, model)
    if isinstance(found, tuple):
        config, build = found
        made = configure("posterior", spec.target, config, dict(spec.settings))
        if getattr(made, "particles", 1) < 1:
            raise UsageError(f"particles={made.particles}: must be at least 1")
        return build(model, made)
    posterior = call("posterior", spec.target, found, model, **dict(spec.settings))
    check_posterior(spec.target, posterior, model)
    return posterior


def _forgetting(spec: Spec, model: Model) -> Posterior:
    """The posterior of a spec with a half-life, refused where that has no meaning."""
    settings = dict(spec.settings)
    half_life = seconds_of(settings.pop(HALF_LIFE), spec.target)

    def built(**more: Any) -> Posterior:
        return _build(Spec(spec.target, tuple(sorted({**settings, **more}.items()))), model)

    if half_life == float("inf"):
        return built()
    refuse_what_cannot_fade(spec.target, half_life, model)
    full = settings.get("full", usual(spec.target, "full"))
    posterior = built()
    if posterior.fade is None and full == "auto":
        # A sample of all the past has few of the events that still count.
        posterior = built(full="forget")
    if posterior.fade is None:
        raise cannot(spec.target, half_life, model, full)
    return forgetting(posterior, half_life)
