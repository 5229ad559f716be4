"""A trained policy's memory, its file, and what is refused.

See also: tests/decide/training/test_training.py for training.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import contract_checks as checks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_checks import Bound
from support import block, compiled, simulate
from uncertain.posteriors.base import Posterior, Summary
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.parts.policy_file import (
    Artefact,
    load_fitting_policy,
    load_policy,
    model_identity,
    save_policy,
)
from uncertain.posteriors.parts.policy_network import NetworkShape, Policy
from uncertain.posteriors.registry import build_model, build_posterior

HORIZON = 5
SMALL = NetworkShape(width=8, code=4, encoder=1, emitter=1)
MODELS = ("location", "discounting", "death-process")
"""A normal outcome, two outcomes, and counts up to fifty."""


def untrained(spec: str, shape: NetworkShape = SMALL) -> Artefact:
    """An artefact with random weights."""
    model = build_model(spec)
    weights = jax.tree.map(np.asarray, Policy(model, shape).init(jax.random.key(7)))
    trained = {"steps": 0, "seconds": 0.5, "device": "none"}
    return Artefact(spec, model_identity(model), HORIZON, shape, weights, {}, trained, {})


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """`made(spec)`: the path of a file for a model."""

    def make(spec: str) -> Path:
        path = tmp_path / f"{spec}.npz"
        save_policy(path, untrained(spec))
        return path

    return make


@pytest.mark.parametrize("spec", [*MODELS[:2], pytest.param(MODELS[2], marks=pytest.mark.nightly)])
def test_contract(spec: str, made: Any) -> None:
    model = build_model(spec)
    bound = Bound(build_posterior(f"amortised:file={made(spec)}", model), model)
    for check in checks.CHECKS:
        # It believes in no unknowns, so that there is no belief to check.
        if check is not checks.believes:
            check(bound)
    assert isinstance(bound.seen(bound.warm()), Summary)


def seen(posterior: Posterior, events: Any) -> Any:
    """The state after events, one at a time."""
    absorb = jax.jit(posterior.absorb)
    state = posterior.init(jax.random.key(0))
    for i in range(len(events.observation)):
        state = absorb(jax.random.key(i), state, block(events, i, i + 1))
    return state


@pytest.mark.parametrize("spec", MODELS[:2])
def test_code_is_the_sum_over_events_in_any_order(spec: str, made: Any) -> None:
    model, path = build_model(spec), made(spec)
    posterior = compiled(build_posterior(f"amortised:file={path}", model))
    events = jax.tree.map(np.asarray, simulate(model, 12))
    one = seen(posterior, events)
    artefact, policy = load_fitting_policy(path, model)
    codes = [
        policy.encode(artefact.weights, policy.raw(jnp.asarray(a)), y)
        for a, y in zip(events.action, events.observation, strict=True)
    ]
    # Sums of twelve numbers of size one in another order, in float32.
    near = {"rtol": 1e-5, "atol": 2e-5}
    np.testing.assert_allclose(one.code, np.sum(codes, axis=0), **near)
    assert one.seen == 12
    shuffled = np.random.default_rng(0).permutation(12)
    other = seen(posterior, jax.tree.map(lambda x: x[shuffled], events))
    np.testing.assert_allclose(other.code, one.code, **near)
    whole = posterior.absorb(jax.random.key(0), posterior.init(jax.random.key(0)), events)
    np.testing.assert_allclose(whole.code, one.code, **near)
    # Other outcomes are another sum, or none of this would tell anything.
    wrong = seen(posterior, events._replace(observation=1 - events.observation))
    assert np.abs(wrong.code - one.code).max() > 1e-2


@pytest.mark.parametrize("spec", MODELS)
def test_coordinates_lead_back(spec: str) -> None:
    policy = Policy(build_model(spec), SMALL)
    raw = jnp.linspace(-3, 3, 7)[:, None] + jnp.zeros((1, len(policy.transforms)))
    for row in raw:
        np.testing.assert_allclose(policy.raw(policy.action(row)), row, rtol=1e-4, atol=1e-4)


def test_round_trip(tmp_path: Path) -> None:
    whole = replace(
        untrained("location"), moments=[np.arange(3.0), np.asarray(2)], reached={"spce": 1.5}
    )
    save_policy(tmp_path / "a.npz", whole)
    back = load_policy(tmp_path / "a.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    for name, value in whole.weights.items():
        assert np.array_equal(back.weights[name], value)
    assert all(np.array_equal(a, b) for a, b in zip(back.moments, whole.moments, strict=True))
    plain = {"weights": {}, "moments": []}
    assert replace(back, **plain) == replace(whole, **plain)


def refused(spec: str, model: str, *says: str) -> None:
    with pytest.raises(UsageError) as error:
        build_posterior(spec, build_model(model))
    for text in says:
        assert text in str(error.value)


def test_what_does_not_fit_is_refused(made: Any, tmp_path: Path) -> None:
    path = made("location")
    refused("amortised", "location", "posterior amortised", "Location", "uncertain train")
    refused(f"amortised:file={tmp_path}/no.npz", "location", "no.npz", "no such file")
    refused(f"amortised:file={path}", "discounting", str(path), "Location(", "Discounting(")
    refused(f"amortised:file={path}", "location:sources=3", "sources=2", "sources=3")
    refused(f"amortised:file={path}:capacity=6", "location", str(path), "5 events", "not for 6")
    assert build_posterior(f"amortised:file={path}:capacity=5", build_model("location"))


def test_a_damaged_file_is_refused(made: Any, tmp_path: Path) -> None:
    whole = made("location").read_bytes()
    rng = np.random.default_rng(0)
    weights = load_policy(made("location")).weights
    cuts = [whole[:n] for n in (0, 10, len(whole) // 2, len(whole) - 5)]
    flips = []
    for at in rng.integers(0, len(whole), 30):
        changed = bytearray(whole)
        changed[at] ^= 0x55
        flips.append(bytes(changed))
    said = []
    for number, content in enumerate([*cuts, *flips, b"text"]):
        path = tmp_path / f"damaged{number}.npz"
        path.write_bytes(content)
        try:
            held = load_policy(path)
        except UsageError as error:
            said.append(str(error))
        else:
            # Some bytes of an archive mean nothing: what was read is then what was written.
            assert all(np.array_equal(held.weights[k], v) for k, v in weights.items())
    assert len(said) >= 25
    assert all("damaged" in text and str(tmp_path) in text for text in said)
    foreign = tmp_path / "foreign.npz"
    np.savez(foreign, x=np.zeros(3))
    refused(f"amortised:file={foreign}", "location", "no policy that uncertain train made")


@pytest.mark.parametrize(
    ("spec", "says"),
    [("linear:arms=3", "are arms"), ("drifting", "moving unknowns of Drifting")],
)
def test_models_without_a_policy(spec: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Policy(build_model(spec), SMALL)
