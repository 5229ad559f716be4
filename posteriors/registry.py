"""Every model and inference method by name. To add one: its file, and one line here.

See also: base.py for the contract.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from .base import Arms, Method, Model, Options, Posterior, Vector
from .contract import check_model, check_posterior
from .errors import UsageError
from .methods import (
    amortised,
    bonus,
    dropout,
    ensemble,
    epinet,
    exact,
    hmc,
    laplace,
    last_layer,
    mcmc,
    point,
    smc,
    subspace_ekf,
    svgd,
    swag,
    variational,
)
from .models.binomial import Binomial
from .models.causal_pair import CausalPair
from .models.death_process import DeathProcess
from .models.discounting import Discounting
from .models.drifting import Drifting
from .models.finite import Finite
from .models.graphs.causal_net import CausalNet
from .models.linear import Linear
from .models.location import Location
from .models.logistic import Logistic
from .models.mlp import MLP
from .models.noisy_or import NoisyOr
from .models.number_game import NumberGame
from .models.poisson import Poisson
from .models.surface import Surface
from .models.testbed import Testbed
from .parts.half_life import check_can_fade, no_fade_error, read_half_life, with_half_life
from .specs import Spec, call_factory, configure, find_object, parse_spec

POSTERIORS: dict[str, Method] = {
    "amortised": Method(amortised.Amortised, amortised.build),
    "bonus": Method(bonus.Bonus, bonus.build),
    "dropout": Method(dropout.Dropout, dropout.build),
    "ensemble": Method(ensemble.Ensemble, ensemble.build),
    "epinet": Method(epinet.Epinet, epinet.build),
    "exact": Method(exact.Exact, exact.build),
    "hmc": Method(hmc.HMC, hmc.build),
    "laplace": Method(laplace.Laplace, laplace.build),
    "last-layer": Method(last_layer.LastLayer, last_layer.build),
    "mcmc": Method(mcmc.MCMC, mcmc.build),
    "point": Method(point.Point, point.build),
    "smc": Method(smc.SMC, smc.build),
    "subspace-ekf": Method(subspace_ekf.SubspaceEKF, subspace_ekf.build),
    "svgd": Method(svgd.SVGD, svgd.build),
    "swag": Method(swag.Swag, swag.build),
    "variational": Method(variational.Variational, variational.build),
}

MODELS: dict[str, type[Model]] = {
    "binomial": Binomial,
    "causal-net": CausalNet,
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


def describe_posteriors() -> dict[str, str]:
    """List the built-in posteriors: name -> first line of its module."""
    return {name: _summary(build.__module__) for name, (_, build) in POSTERIORS.items()}


def describe_models() -> dict[str, str]:
    """List the built-in models: name -> first line of its module."""
    return {name: _summary(model.__module__) for name, model in MODELS.items()}


def _summary(module: str) -> str:
    """First line of a module's docstring."""
    return (sys.modules[module].__doc__ or "").strip().splitlines()[0].rstrip(".")


@lru_cache(maxsize=256)
def build_model(text: str) -> Model:
    """Build a model and check it against the contract.

    text: `name:key=value` or `file.py:object`.

    Raises: UsageError if there is no such model, or it breaks the contract.
    """
    spec = parse_spec(text)
    entry = find_object("model", spec.target, MODELS)
    settings = dict(spec.settings)
    if isinstance(entry, type) and dataclasses.is_dataclass(entry):
        model = configure("model", spec.target, entry, settings)
    elif isinstance(entry, Model):
        if settings:
            raise UsageError(f"model {spec.target} is already built: it takes no options")
        model = entry
    elif callable(entry):
        model = call_factory("model", spec.target, entry, **settings)
    else:
        raise UsageError(f"model {spec.target} is {type(entry).__name__}, not a model")
    check_model(spec.target, model)
    return model


def fit_model_spec(text: str, space: Arms | Vector) -> str:
    """Complete a model's spec with arms, features and intercept as the actions need.

    text: the spec; options that it gives stay.
    space: the actions.

    Returns: the new spec.
    """
    spec = parse_spec(text)
    fields = getattr(MODELS.get(spec.target), "__dataclass_fields__", {})
    fitted: dict[str, Any] = {}
    if {"arms", "features"} <= set(fields):
        if isinstance(space, Arms):
            fitted = {"arms": space.count, "features": space.context}
        else:
            fitted = {"arms": 0, "features": space.size}
            if "intercept" in fields:
                fitted["intercept"] = True
    settings = {**fitted, **dict(spec.settings)}
    return str(Spec(spec.target, tuple(sorted(settings.items()))))


def _method(text: str) -> Method | Callable[..., Posterior]:
    """The entry that a posterior's spec names: a method, or a user's own factory."""
    return find_object("posterior", parse_spec(text).target, POSTERIORS)


def takes_option(text: str, field: str) -> bool:
    """Test whether a posterior has an option.

    text: the posterior's spec.
    field: name of the option.
    """
    method = _method(text)
    if isinstance(method, Method):
        return field in {f.name for f in dataclasses.fields(method.options)}
    return field in inspect.signature(method).parameters


def options_class(text: str) -> type[Options]:
    """Return the options of a posterior; the plain defaults for a user's own factory.

    text: the posterior's spec.
    """
    method = _method(text)
    return method.options if isinstance(method, Method) else Options


def option_default(text: str, field: str) -> Any:
    """Return the default of a posterior's option; None if it has no such option or default.

    text: the posterior's spec.
    field: name of the option.
    """
    method = _method(text)
    if isinstance(method, Method):
        return {f.name: f.default for f in dataclasses.fields(method.options)}.get(field)
    parameter = inspect.signature(method).parameters.get(field)
    return None if parameter is None or parameter.default is parameter.empty else parameter.default


def build_posterior(text: str, model: Model, extra: Mapping[str, Any] | None = None) -> Posterior:
    """Build a posterior for a model.

    The same arguments give the identical callables, so that nothing is compiled twice.

    text: `name:key=value` or `file.py:object`; with `half_life=SECONDS` any posterior forgets.
    model: the model.
    extra: options that hold unless the text gives its own.

    Raises: UsageError if there is no such posterior, or it cannot handle the model.
    """
    spec = parse_spec(text)
    settings = {**(extra or {}), **dict(spec.settings)}
    return _build(Spec(spec.target, tuple(sorted(settings.items()))), model)


@lru_cache(maxsize=256)
def _build(spec: Spec, model: Model) -> Posterior:
    """The posterior of a spec, once per spec and model."""
    method = find_object("posterior", spec.target, POSTERIORS)
    settings = dict(spec.settings)
    if HALF_LIFE in settings:
        return _build_forgetting(spec, model)
    if not isinstance(method, Method):
        posterior = call_factory("posterior", spec.target, method, model, **settings)
        check_posterior(spec.target, posterior, model)
        return posterior
    options = configure("posterior", spec.target, method.options, settings)
    if getattr(options, "particles", 1) < 1:
        raise UsageError(f"particles={options.particles}: must be at least 1")
    posterior = method.build(model, options)
    if spec.target not in POSTERIORS:
        check_posterior(spec.target, posterior, model)
    return posterior


def _build_forgetting(spec: Spec, model: Model) -> Posterior:
    """The posterior of a spec with a half-life, refused where that has no meaning."""
    settings = dict(spec.settings)
    half_life = read_half_life(settings.pop(HALF_LIFE), spec.target)

    def build(**more: Any) -> Posterior:
        return _build(Spec(spec.target, tuple(sorted({**settings, **more}.items()))), model)

    if half_life == float("inf"):
        return build()
    check_can_fade(spec.target, half_life, model)
    full = settings.get("full", option_default(spec.target, "full"))
    posterior = build()
    if posterior.fade is None and full == "auto":
        # A sample of all the past has few of the events that still count.
        posterior = build(full="forget")
    if posterior.fade is None:
        raise no_fade_error(spec.target, half_life, model, full)
    return with_half_life(posterior, half_life)
