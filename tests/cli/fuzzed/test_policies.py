"""Damaged policies: what `uncertain train` wrote and `amortised:file=` reads."""

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import Mistake, asked_for, spoil, survey, twist
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.methods.amortised import Amortised, build
from uncertain.posteriors.parts import policy_file
from uncertain.posteriors.parts.policy_file import MOMENTS, WEIGHTS, load_policy
from uncertain.posteriors.registry import build_model

POLICY = Path(__file__).parents[3] / "docs" / "results" / "policies" / "location.npz"


def content() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and the text of a good policy."""
    with np.load(POLICY) as stored:
        arrays = dict(stored)
    return arrays, json.loads(str(arrays.pop("about")))


def written(arrays: dict[str, np.ndarray], about: Any) -> bytes:
    """The file."""
    out = io.BytesIO()
    np.savez(out, about=np.asarray(json.dumps(about)), **arrays)
    return out.getvalue()


def odd_array(chance: random.Random, array: np.ndarray) -> np.ndarray:
    """Other numbers, another type, another shape."""
    wrong = array.copy().reshape(-1)
    wrong[chance.randrange(wrong.size)] = chance.choice((np.nan, np.inf, -np.inf))
    return chance.choice(
        (wrong.reshape(array.shape), array.astype(str), array.astype(complex), array.T, array[:0],
         array.astype("f8"), array.astype(int), array.astype("M8[s]"), np.array(0.0), array[None],
         np.zeros((1 << 20, 1), "f2"))
    )  # fmt: skip


def mutated(chance: random.Random, plain: bytes) -> tuple[str, bytes]:
    """What was done, and the policy after it; its digest is that of what is in it, mostly."""
    if chance.random() < 0.4:
        return spoil(chance, plain, [plain])
    arrays, about = content()
    if chance.random() < 0.5:
        name = chance.choice(list(arrays))
        if chance.random() < 0.1:
            arrays[name] = arrays[name] + np.float32(0.5)
            return f"{name} is other than its digest", written(arrays, about)
        arrays[name] = odd_array(chance, arrays[name])
        done = f"{name} is {arrays[name].dtype} {arrays[name].shape}"
        if chance.random() < 0.2:
            arrays[chance.choice((WEIGHTS, MOMENTS)) + chance.choice("ab")] = arrays.pop(name)
    else:
        done = twist(chance, about)
    if isinstance(about, dict) and chance.random() < 0.9:
        parts = {n.removeprefix(WEIGHTS): a for n, a in arrays.items() if n.startswith(WEIGHTS)}
        about["digest"] = policy_file._digest(parts)
    return done, written(arrays, about)


def files(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """So many policies, one after another; a process remembers a posterior by its file's name."""
    chance, plain = random.Random(4), POLICY.read_bytes()
    for number in range(count):
        done, body = mutated(chance, plain)
        path = folder / f"mutated{number}.npz"
        path.write_bytes(body)
        yield done, path
        path.unlink()


def read(path: Path) -> None:
    """As `run` and `bench` read it; its weights are those of the good one."""
    build(MODEL, Amortised(file=str(path), capacity=3))
    found = load_policy(path).weights
    if found.keys() != GOOD.keys():
        raise Mistake(f"weights called {', '.join(found)}")
    for name, array in found.items():
        if not np.array_equal(array, GOOD[name]):
            raise Mistake(f"{name} holds other numbers")


def command(path: Path) -> tuple[object, ...]:
    return "run", "--model", "location", "--posterior", f"amortised:file={path}", "--rule", "policy"


GOOD = load_policy(POLICY).weights
MODEL = build_model("location")


@pytest.mark.soak
def test_each_is_read_rightly_or_refused(tmp_path: Path) -> None:
    # Where it is read the command compiles, which takes a second.
    found = survey(files(tmp_path, asked_for()), read, command, every=1000)
    print(f"\npolicies: {found}")
    assert found.faults == []
    assert min(found.told["read"], found.told["refused"]) > 0.02 * found.told.total()


def test_some_are(tmp_path: Path) -> None:
    assert survey(files(tmp_path, 200), read).faults == []


def test_other_weights_are_refused(tmp_path: Path) -> None:
    arrays, about = content()
    name = next(name for name in arrays if name.startswith(WEIGHTS))
    path = tmp_path / "other.npz"
    path.write_bytes(written(arrays, about))
    assert load_policy(path).known
    path.write_bytes(written({**arrays, name: arrays[name] + np.float32(0.5)}, about))
    with pytest.raises(UsageError, match="its weights are not those that were written"):
        load_policy(path)


def test_a_reader_with_a_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without digests other weights pass."""
    monkeypatch.setattr(policy_file, "_digest", lambda weights: content()[1]["digest"])
    assert survey(files(tmp_path, 200), read).faults
