"""Checks of a model or posterior against the contract, when it is loaded.

Shapes are traced, not computed, so a check costs milliseconds; the prediction of a user's model of
finitely many outcomes is computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .base import Arms, Draws, Gaussian, Info, Model, Posterior, Summary, Vector
from .errors import UsageError
from .parts.outcomes import Finite, outcome_kind
from .parts.unknowns import unknowns_of
from .placeholders import example_event, example_values
from .spaces.check import check_space
from .specs import describe_error, own_line


def _attempt(kind: str, target: str, step: str, function: Callable[..., Any], *args: Any) -> Any:
    """Run a user's function; its failure becomes one line with the user's own line."""
    try:
        return function(*args)
    except UsageError as error:
        if str(error).startswith(f"{kind} {target}"):
            raise
        raise UsageError(f"{kind} {target}: {error}") from error
    except Exception as error:  # a user's code may fail in any way at all
        path = target.rpartition(":")[0]
        where = own_line(error, path) if path else ""
        raise UsageError(
            f"{kind} {target}{where}: {step} failed: {describe_error(error)}"
        ) from error


def check_model(target: str, model: Any) -> None:
    """Refuse a model that breaks the contract, naming the part.

    target: the model's spec, for errors.
    model: the loaded object.

    Raises: UsageError.
    """
    if not isinstance(model, Model):
        raise UsageError(
            f"model {target} made a {type(model).__name__}; it must subclass uncertain.Model"
        )
    try:
        hash(model)
    except TypeError as error:
        raise UsageError(
            f"model {target} is not hashable: make it a @dataclass(frozen=True) whose fields are "
            "numbers, strings or tuples"
        ) from error
    if not isinstance(getattr(model, "actions", None), Arms | Vector):
        raise UsageError(f"model {target}: `actions` must be Arms(...) or Vector(...)")
    for method in ("prior", "predict"):
        if getattr(type(model), method) is getattr(Model, method):
            raise UsageError(f"model {target} does not define {method}()")
    unknowns = _attempt("model", target, "prior()", unknowns_of, model)
    space = unknowns.space
    if space is not None and not type(space).__module__.startswith(f"{__package__}."):
        _attempt("model", target, "its space", check_space, space)
    if unknowns.size % max(model.independent, 1):
        raise UsageError(
            f"model {target}: {unknowns.size} unknowns do not divide into "
            f"independent={model.independent} groups"
        )
    kind = _attempt("model", target, "predict()", outcome_kind, model)
    if isinstance(kind, Finite) and not type(model).__module__.startswith(f"{__package__}."):
        # NumPyro refuses impossible parameters where they are numbers. Each operation on them
        # takes a program, so that only models from outside are looked at.
        _attempt("model", target, "predict()", lambda: model.predict(*example_values(model)))
    event = _attempt("model", target, "predict()", example_event, model)
    before = _shapes(model.init_stats())
    after = _attempt(
        "model",
        target,
        "update_stats()",
        lambda: jax.eval_shape(lambda s, e: model.update_stats(s, e), model.init_stats(), event),
    )
    if _shapes(after) != before:
        raise UsageError(f"model {target}: update_stats() changes shapes or dtypes of the stats")


def check_posterior(target: str, posterior: Any, model: Model) -> None:
    """Refuse a posterior that breaks the contract, naming the part.

    target: the posterior's spec, for errors.
    posterior: the loaded object.
    model: the model that it was built for.

    Raises: UsageError.
    """
    if not isinstance(posterior, Posterior):
        raise UsageError(
            f"posterior {target} made a {type(posterior).__name__}; it must return "
            "Posterior(init, absorb, refine, belief), and may add a fade"
        )
    key = jax.random.key(0)
    events = jax.tree.map(lambda x: x[None], example_event(model))

    def trace(step: str, function: Callable[..., Any], *args: Any) -> Any:
        return _attempt("posterior", target, step, lambda: jax.eval_shape(function, *args))

    state = trace("init()", posterior.init, key)
    absorbed = trace("absorb()", posterior.absorb, key, state, events)
    _check_same(target, "absorb()", state, absorbed)
    result = trace("refine()", posterior.refine, key, state)
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Info)):
        raise UsageError(f"posterior {target}: refine() must return (state, Info)")
    _check_same(target, "refine()", state, result[0])
    if posterior.fade is not None:
        faded = trace("fade()", posterior.fade, key, state, jnp.ones(()))
        _check_same(target, "fade()", state, faded)
    belief = trace("belief()", posterior.belief, key, state, jnp.zeros(()))
    _check_belief(target, belief, unknowns_of(model).size)


def _check_belief(target: str, belief: Any, size: int) -> None:
    """Refuse a belief of another kind or shape."""
    if isinstance(belief, Summary):
        return
    if isinstance(belief, Draws):
        count = belief.log_weights.shape[0] if belief.log_weights.ndim else 0
        if belief.values.shape == (count, size):
            return
        raise UsageError(
            f"posterior {target}: belief has values {belief.values.shape} and log_weights "
            f"{belief.log_weights.shape}; expected [S, {size}] and [S]"
        )
    if isinstance(belief, Gaussian):
        groups, width = belief.covariance.shape[:2]
        if belief.mean.shape == (size,) and groups * width == size:
            return
        raise UsageError(f"posterior {target}: belief has mean {belief.mean.shape}, not [{size}]")
    raise UsageError(
        f"posterior {target}: belief() made a {type(belief).__name__}, not Draws, Gaussian or "
        "Summary"
    )


def _check_same(target: str, step: str, before: Any, after: Any) -> None:
    """Refuse a state whose structure, shapes, dtypes or weak types changed."""
    old_shapes, new_shapes = _shapes(before), _shapes(after)
    if old_shapes == new_shapes:
        return
    if old_shapes[0] != new_shapes[0]:
        raise UsageError(f"posterior {target}: {step} changes the structure of the state")
    for old, new in zip(old_shapes[1], new_shapes[1], strict=True):
        if old != new:
            raise UsageError(
                f"posterior {target}: {step} turns a leaf {old} into {new}; shapes, dtypes and "
                "weak types must stay, or every event compiles again"
            )


def _shapes(tree: Any) -> tuple[Any, list[tuple]]:
    """Structure of a tree, and shape, dtype and weak type of every leaf."""
    leaves, structure = jax.tree.flatten(tree)
    described = [
        (tuple(jnp.shape(x)), str(_aval(x).dtype), bool(getattr(_aval(x), "weak_type", False)))
        for x in leaves
    ]
    return structure, described


def _aval(x: Any) -> Any:
    """Abstract value of a leaf."""
    return x if isinstance(x, jax.ShapeDtypeStruct) else jax.eval_shape(lambda: x)
