"""Search space of a posterior: its own options that a spec does not set.

Every backend lists the values worth trying in `Options.search`; none is named here.

See also: search.py for the search.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any

from ....posteriors.base import Span
from ....posteriors.errors import UsageError
from ....posteriors.registry import option_default, options_class
from ....posteriors.specs import Spec, parse_spec

REFINE = (1, 2, 5, 10)
"""Refine steps an event to choose from, besides the backend's default."""
DIGITS = 3
"""Significant digits of numbers drawn from a span, as one would type them."""

Values = Span | tuple[Any, ...]


def search_space(text: str) -> dict[str, Values]:
    """Return the values to try for each option, refine steps included if the backend takes any.

    text: spec of a posterior.
    Returns: values by name of the option; empty if there is nothing to tune.
    """
    spec = parse_spec(text)
    options = options_class(spec.target)
    found = dict(options.search)
    if options.refine > 0:
        found.setdefault("refine", tuple(sorted({*REFINE, options.refine})))
    pinned = dict(spec.settings)
    return {name: values for name, values in sorted(found.items()) if name not in pinned}


def _default_of(text: str, name: str) -> Any:
    """The default of one option; `MISSING` if it has none."""
    return options_class(text).refine if name == "refine" else option_default(text, name)


def add_defaults(text: str) -> str:
    """Write out the default of every option that is searched.

    text: spec of a posterior.
    Returns: the longer spec.
    """
    found = {name: _default_of(text, name) for name in search_space(text)}
    return add_settings(
        text, {name: value for name, value in found.items() if value is not MISSING}
    )


def add_settings(text: str, settings: Mapping[str, Any]) -> str:
    """Add settings to a spec.

    text: spec of a posterior.
    settings: values by option, which replace those of the spec.
    Returns: the longer spec.
    """
    spec = parse_spec(text)
    return str(Spec(spec.target, tuple(sorted({**dict(spec.settings), **settings}.items()))))


def pin_option(text: str, name: str, value: Any) -> str:
    """Set an option unless the spec sets it.

    text: spec of a posterior.
    name: of the option.
    value: of the option.
    Returns: the spec.
    """
    return text if name in dict(parse_spec(text).settings) else add_settings(text, {name: value})


def search_distributions(text: str) -> dict[str, Any]:
    """Return the search space as distributions of Optuna, with choices by their position.

    text: spec of a posterior.
    Raises: UsageError if Optuna cannot search an option.
    """
    found = {}
    for name, values in search_space(text).items():
        try:
            found[name] = _distribution(values, _default_of(text, name))
        except ValueError as error:
            raise UsageError(f"posterior {text}: {name} cannot be searched: {error}") from error
    return found


def _distribution(values: Values, default: Any) -> Any:
    """Whole numbers where the default is one, real numbers in other spans, else positions."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if not isinstance(values, Span):
        # By position, because Optuna would only take choices that JSON knows.
        return CategoricalDistribution(tuple(range(len(values))))
    if isinstance(default, int) and not isinstance(default, bool):
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def decode_choice(values: Values, drawn: Any) -> Any:
    """Convert a draw from a distribution of Optuna to the value of an option.

    values: that the option may take.
    drawn: by Optuna.
    """
    if not isinstance(values, Span):
        return values[drawn]
    if isinstance(drawn, int):
        return drawn
    return min(max(float(f"{drawn:.{DIGITS}g}"), values.low), values.high)
