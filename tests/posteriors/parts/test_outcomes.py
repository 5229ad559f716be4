"""What is read off a model's prediction: without numbers where they are not needed."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from uncertain.posteriors.base import Arms, Model, dist
from uncertain.posteriors.contract import check_model
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.mlp import MLP
from uncertain.posteriors.models.testbed import Testbed as Network  # pytest collects Test* names
from uncertain.posteriors.parts.outcomes import Finite, Scalar, is_count, outcome_kind
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.placeholders import example_values

COMPILED: list[str] = []


def note(event: str, seconds: float, **details: Any) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        COMPILED.append(event)


jax.monitoring.register_event_duration_secs_listener(note)


@dataclass(frozen=True)
class Tosses(Model):
    """As many tosses as a parameter of the distribution says, the chance moved by `shift`."""

    shift: float = 0.0
    actions = Arms(1)

    def prior(self) -> dict[str, Any]:
        return {"chance": dist.Beta(1.0, 1.0)}

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        count = (3 + 0 * params["chance"]).astype(jnp.int32)
        return dist.Binomial(total_count=count, probs=params["chance"] + self.shift)


def test_a_number_of_outcomes_that_is_a_parameter_is_computed() -> None:
    assert outcome_kind(Tosses()) == Finite((0.0, 1.0, 2.0, 3.0))
    assert is_count(Tosses())


def test_an_impossible_parameter_is_refused() -> None:
    check_model("mine", Tosses())
    with pytest.raises(UsageError, match=r"model mine: predict\(\) failed: .* invalid probs"):
        check_model("mine", Tosses(shift=1.0))


@pytest.mark.parametrize(
    ("model", "kind", "programs"),
    [
        (MLP(features=5, hidden=(13, 17), arms=3), Scalar(normal=True), 0),
        # One for the codes of the outcomes, unless a test before this had as many.
        (Network(dimensions=5, hidden=(13, 17), classes=3), Finite((0.0, 1.0, 2.0)), 1),
    ],
)
def test_kinds_and_coordinates_take_hardly_a_program(
    model: Model, kind: Any, programs: int
) -> None:
    COMPILED.clear()
    assert outcome_kind(model) == kind
    assert not is_count(model)
    assert unknowns_of(model).size > 13 * 17
    assert len(COMPILED) <= programs
    # Control: with numbers each operation takes one.
    model.predict(*example_values(model))
    assert len(COMPILED) > 5
