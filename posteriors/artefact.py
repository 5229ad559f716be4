"""A trained policy as a file: weights, what they are for, and how they came about.

An `.npz` of plain arrays and one JSON text, nothing that is run when it is read. The file is
replaced whole or not at all. While training goes on it holds the optimiser's moments as well. Not
here: the network (policy.py), or how it is trained (decide/training).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .base import Model, UsageError
from .policy import Policy, Shape

FORMAT = "uncertain policy 1"
LARGEST = 2_000_000
"""Bytes of weights and moments that a file may have, before compression."""
WEIGHTS, MOMENTS = "weights/", "moments/"


@dataclass(frozen=True)
class Artefact:
    """weights by name; what they are for; how they were trained.

    model: its spec as typed, and known: what it is made of (two specs may say the same). settings:
    what training was asked for. trained: steps, seconds, device, rate. reached: sPCE and sNMC, the
    draws and rollouts behind them, None before they were measured. moments: the optimiser's, empty
    once training is over.
    """

    model: str
    known: str
    horizon: int
    shape: Shape
    weights: dict[str, np.ndarray]
    settings: dict[str, Any]
    trained: dict[str, Any]
    versions: dict[str, str]
    reached: dict[str, Any] | None = None
    moments: list[np.ndarray] = field(default_factory=list)


def known_as(model: Model) -> str:
    """All that a model says it is made of, the same in every process."""
    kind = type(model)
    return f"{kind.__qualname__} {re.sub(r' at 0x[0-9a-f]+', '', repr(model))}"


def save(path: str | Path, artefact: Artefact) -> None:
    """Write the file, all of it or nothing."""
    place = Path(path)
    about = {
        "format": FORMAT,
        **{
            name: getattr(artefact, name)
            for name in (
                "model", "known", "horizon", "settings", "trained", "versions", "reached",
            )
        },
        "shape": asdict(artefact.shape),
        "digest": digest(artefact.weights),
    }  # fmt: skip
    arrays: dict[str, Any] = {WEIGHTS + name: value for name, value in artefact.weights.items()}
    arrays |= {f"{MOMENTS}{i:04d}": value for i, value in enumerate(artefact.moments)}
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, about=np.asarray(json.dumps(about)), **arrays)
        os.chmod(name, 0o644)
        os.replace(name, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def digest(weights: dict[str, np.ndarray]) -> str:
    """What tells whether weights are whole."""
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode() + b"\0" + np.ascontiguousarray(weights[name]).tobytes())
    return found.hexdigest()


def load(path: str | Path) -> Artefact:
    """Read the file; UsageError where it is none, damaged, or of another format."""
    place = Path(path)
    if not place.is_file():
        raise UsageError(f"{path}: no such file; uncertain train makes one")
    try:
        with np.load(io.BytesIO(place.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        about = json.loads(str(arrays.pop("about")))
        found = about["format"]
        weights = part(arrays, WEIGHTS)
        whole = about["digest"] == digest(weights)
        artefact = Artefact(
            about["model"],
            about["known"],
            int(about["horizon"]),
            Shape(**about["shape"]),
            weights,
            about["settings"],
            about["trained"],
            about["versions"],
            about["reached"],
            list(part(arrays, MOMENTS).values()),
        )
    except Exception as error:  # a damaged archive fails in any way at all
        raise UsageError(
            f"{path}: damaged, or no policy that uncertain train made ({type(error).__name__})"
        ) from error
    if found != FORMAT:
        raise UsageError(f"{path}: format {found!r}, this version reads {FORMAT!r}")
    if not whole:
        raise UsageError(f"{path}: damaged: its weights are not those that were written")
    return artefact


def part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin so, in order, without it."""
    names = sorted(name for name in arrays if name.startswith(prefix))
    return {name.removeprefix(prefix): arrays[name] for name in names}


def fitting(path: str | Path, model: Model) -> tuple[Artefact, Policy]:
    """The file and its network, refused where they are for another model."""
    artefact = load(path)
    if artefact.known != known_as(model):
        raise UsageError(
            f"{path}: trained for {artefact.known.partition(' ')[2]}, not for {model!r}; train "
            "another, or choose that model"
        )
    policy = Policy(model, artefact.shape)
    shapes = {name: value.shape for name, value in artefact.weights.items()}
    if shapes != policy.shapes():
        raise UsageError(f"{path}: weights that do not fit its own network; train again")
    return artefact, policy


def check_size(policy: Policy) -> None:
    """Refuse a network whose file would be too large to keep beside code."""
    size = 3 * 4 * sum(int(np.prod(shape)) for shape in policy.shapes().values())
    if size > LARGEST:
        raise UsageError(
            f"policy dad: {size / 1e6:.1f} MB of weights and moments, at most "
            f"{LARGEST / 1e6:g} MB are kept: choose a smaller width or fewer layers"
        )
