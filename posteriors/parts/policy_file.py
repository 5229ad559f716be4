"""File of a trained policy: weights, the model they are for, and how they were trained.

An `.npz` of plain arrays and one JSON text; reading it runs no code. The file is replaced whole or
not at all. During training it also holds the optimiser's moments.

See also: policy_network.py for the network, ../../decide/training/training.py for training.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from ..archives import ArchiveError, load_archive
from ..base import Model
from ..errors import UsageError
from ..units import MEGABYTE
from .policy_network import NetworkShape, Policy

FORMAT = "uncertain policy 1"
LARGEST = 2_000_000
"""Bytes of weights and moments that a file may have, before compression."""
WEIGHTS, MOMENTS = "weights/", "moments/"


@dataclass(frozen=True)
class Artefact:
    """Content of the file.

    model: the model's spec as typed.
    known: the model's identity (two specs may mean the same).
    horizon: events a run.
    shape: of the network.
    weights: by name.
    settings: of the training, as asked for.
    trained: steps, seconds, device, rate.
    versions: of the libraries.
    reached: sPCE and sNMC, with the draws and rollouts behind them; None before they were measured.
    moments: the optimiser's, empty once training is over.
    """

    model: str
    known: str
    horizon: int
    shape: NetworkShape
    weights: dict[str, np.ndarray]
    settings: dict[str, Any]
    trained: dict[str, Any]
    versions: dict[str, str]
    reached: dict[str, Any] | None = None
    moments: list[np.ndarray] = field(default_factory=list)


class About(msgspec.Struct):
    """The JSON text of the file; see `Artefact`."""

    format: str
    model: str
    known: str
    horizon: Annotated[int, msgspec.Meta(ge=1)]
    settings: dict[str, Any]
    trained: dict[str, Any]
    versions: dict[str, str]
    reached: dict[str, Any] | None
    shape: NetworkShape
    digest: str


def model_identity(model: Model) -> str:
    """Describe a model by its class and fields, the same in every process.

    model: any model.
    """
    kind = type(model)
    return f"{kind.__qualname__} {re.sub(r' at 0x[0-9a-f]+', '', repr(model))}"


def save_policy(path: str | Path, artefact: Artefact) -> None:
    """Write the file, all of it or nothing.

    path: to write to.
    artefact: the content.
    """
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
        "digest": _digest(artefact.weights),
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


def _digest(weights: dict[str, np.ndarray]) -> str:
    """Digest by which damaged weights are recognised."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + b"\0" + np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()


def load_policy(path: str | Path) -> Artefact:
    """Read the file.

    path: to read.

    Raises: UsageError if it is missing, damaged, or of another format.
    """
    place = Path(path)
    if not place.is_file():
        raise UsageError(f"{path}: no such file; uncertain train makes one")
    try:
        arrays = load_archive(place)
        about = msgspec.json.decode(str(arrays.pop("about")), type=About)
        weights, moments = _part(arrays, WEIGHTS), _part(arrays, MOMENTS)
    except Exception as error:  # a damaged archive fails in any way at all
        told = f": {error}" if isinstance(error, ArchiveError) else f" ({type(error).__name__})"
        raise UsageError(
            f"{path}: damaged, or no policy that uncertain train made{told}"
        ) from error
    if about.format != FORMAT:
        raise UsageError(f"{path}: format {about.format!r}, this version reads {FORMAT!r}")
    if about.digest != _digest(weights):
        raise UsageError(f"{path}: damaged: its weights are not those that were written")
    for name, array in weights.items():
        if array.dtype.kind != "f" or not np.all(np.isfinite(array)):
            raise UsageError(f"{path}: {WEIGHTS}{name}: holds what is no number; train again")
    return Artefact(
        about.model, about.known, about.horizon, about.shape, weights, about.settings,
        about.trained, about.versions, about.reached, list(moments.values()),
    )  # fmt: skip


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin so, in order, without it."""
    names = sorted(name for name in arrays if name.startswith(prefix))
    return {name.removeprefix(prefix): arrays[name] for name in names}


def load_fitting_policy(path: str | Path, model: Model) -> tuple[Artefact, Policy]:
    """Read the file and build its network.

    path: to read.
    model: the model that it has to be for.

    Returns: the content and the network.
    Raises: UsageError if it was trained for another model, or does not fit its own network.
    """
    artefact = load_policy(path)
    if artefact.known != model_identity(model):
        raise UsageError(
            f"{path}: trained for {artefact.known.partition(' ')[2]}, not for {model!r}; train "
            "another, or choose that model"
        )
    try:
        policy = Policy(model, artefact.shape)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    shapes = {name: value.shape for name, value in artefact.weights.items()}
    if shapes != policy.shapes():
        raise UsageError(f"{path}: weights that do not fit its own network; train again")
    return artefact, policy


def check_policy_size(policy: Policy) -> None:
    """Refuse a network whose file would be too large to keep beside code.

    policy: the network.

    Raises: UsageError if weights and moments exceed `LARGEST` bytes.
    """
    size = 3 * 4 * sum(int(np.prod(shape)) for shape in policy.shapes().values())
    if size > LARGEST:
        raise UsageError(
            f"policy dad: {size / MEGABYTE:.1f} MB of weights and moments, at most "
            f"{LARGEST / MEGABYTE:g} MB are kept: choose a smaller width or fewer layers"
        )
