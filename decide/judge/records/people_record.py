"""Records of `people`: participants of a study or a rule, and the published observer. Free of JAX.

Gains are in nats and regrets in percent of the regret of random choices; means are over people.

See also: ../people/summaries.py for the arithmetic.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from msgspec import UNSET, Meta, Struct, UnsetType

from .record import AtLeastZero, Mean


class StudyRun(TypedDict):
    """Fields that all records of one run share."""

    study: str
    config: dict[str, Any]
    seed: int
    versions: dict[str, str]


class TurnGain(Struct, kw_only=True):
    """Gain of the first, second, ... choice of a problem, nats; null if it is not finite."""

    turn: Annotated[int, Meta(ge=1, description="Number of the choice.")]
    choices: Annotated[int, Meta(ge=1, description="Problems with so many choices.")]
    gain: Annotated[float | None, Meta(description="Mean gain of the choice.")]
    best: Annotated[float | None, Meta(description="Mean gain of the best choice.")]
    random: Annotated[float | None, Meta(description="Mean gain of a random choice.")]


class PeopleRecord(Struct, kw_only=True):
    """Choices of a group of people, or of a rule in their place; null where nothing is known."""

    schema: Annotated[int, Meta(description="Version of this format.")] = 1
    study: Annotated[str, Meta(description="Name of the study.")]
    group: Annotated[str, Meta(description="Problems that are summed up together.")]
    who: Annotated[str, Meta(description="people, or the spec of a rule.")]
    people: Annotated[int, Meta(ge=1, description="Participants.")]
    problems: Annotated[int, Meta(ge=1, description="Problems of all participants.")]
    choices: Annotated[int, Meta(ge=1, description="Choices of all participants.")]
    gain: Annotated[
        Mean | None, Meta(description="Nats a choice, of a rule at people's own moments.")
    ]
    best: Annotated[Mean | None, Meta(description="Nats of the best choice there.")]
    share: Annotated[Mean | None, Meta(description="Gain over that of the best choices.")]
    random: Annotated[Mean | None, Meta(description="Nats of a random choice there.")]
    learnt: Annotated[
        Mean | None, Meta(description="Nats a problem, of a rule that plays it alone.")
    ]
    regret: Annotated[
        Mean | None,
        Meta(description="Percent of the regret of random choices; null if nothing is paid."),
    ]
    by_turn: Annotated[list[TurnGain], Meta(description="Gain of each choice, in order.")]
    models: Annotated[
        list[str] | UnsetType,
        Meta(description="Specs of the belief; absent if choices are in continuous time."),
    ] = UNSET
    config: Annotated[dict[str, Any], Meta(description="Options, and the study's own unit.")]
    seed: Annotated[int, Meta(ge=0, description="Seed of all draws.")]
    versions: Annotated[
        dict[str, str], Meta(description="Versions of the packages that computed the record.")
    ]


class ObserverRecord(Struct, kw_only=True):
    """The published observer, computed anew, beside its authors' own entropies, in bits."""

    schema: Annotated[int, Meta(description="Version of this format.")] = 1
    study: Annotated[str, Meta(description="Name of the study.")]
    group: Annotated[str, Meta(description="Trials that are compared together.")]
    who: Annotated[Literal["published observer"], Meta(description="Marks these records.")]
    trials: Annotated[int, Meta(ge=1, description="Trials compared.")]
    crowded: Annotated[int, Meta(ge=0, description="Trials left out: too many causes at once.")]
    within: Annotated[int, Meta(ge=0, description="Trials within .01 bit at every reference time.")]
    worst: Annotated[AtLeastZero, Meta(description="Largest difference of a trial.")]
    median: Annotated[AtLeastZero, Meta(description="Median over trials of the largest one.")]
    config: Annotated[dict[str, Any], Meta(description="Options, and the study's own unit.")]
    seed: Annotated[int, Meta(ge=0, description="Seed of all draws.")]
    versions: Annotated[
        dict[str, str], Meta(description="Versions of the packages that computed the record.")
    ]


PeopleRow = PeopleRecord | ObserverRecord
