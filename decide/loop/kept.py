"""Programs kept between processes, so that a known one is not traced again.

Turning a step into the compiler's language takes seconds of Python; JAX's own cache keeps only what
the compiler makes of it. A program is known by a name that says all it is made of, by the shapes
it is given, and by the text of this package and the versions of what it stands on. What has no
name (anything with code or data of the user's) is traced anew each time. Nothing in the folder is
needed: what is missing, damaged or of another version is made again. Not here: what programs do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from jax import export

from ...posteriors.base import Model

PACKAGES = ("jax", "jaxlib", "numpyro", "optax", "blackjax", "numpy")
SETTINGS = (
    "jax_enable_x64",
    "jax_threefry_partitionable",
    "jax_default_prng_impl",
    "jax_default_matmul_precision",
)
OURS = ("uncertain.posteriors", "uncertain.streams", "uncertain.decide")
DIGEST = hashlib.sha256().digest_size

_folder: Path | None = None


def keep_in(folder: Path | None) -> None:
    """Where programs are kept from now on; None keeps none."""
    global _folder
    _folder = folder


def folder() -> Path | None:
    return _folder


def model_name(model: Model) -> str | None:
    """All that a built-in model is made of; None for anybody else's."""
    kind = type(model)
    text = repr(model)
    # What a representation leaves out or cuts short may differ between two that look the same.
    whole = dataclasses.is_dataclass(kind) and all(f.repr for f in dataclasses.fields(kind))
    if (
        not (kind.__module__.startswith("uncertain.") and whole)
        or "..." in text
        or " at 0x" in text
    ):
        return None
    return f"{kind.__module__} {text}"


@lru_cache(maxsize=8)
def stamp(settings: tuple[Any, ...]) -> str:
    """What besides its name decides what a program is."""
    found = hashlib.sha256(repr(settings).encode())
    for package in PACKAGES:
        found.update(f"{package} {version(package)};".encode())
    for package in OURS:
        place = Path(import_module(package).__path__[0])
        for file in sorted(place.rglob("*.py")):
            found.update(file.relative_to(place).as_posix().encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def place_of(name: str) -> str:
    """The name of the file that holds what `name` says, as it is with this package and settings."""
    settings = (jax.default_backend(), *(getattr(jax.config, name) for name in SETTINGS))
    return hashlib.sha256(f"{stamp(settings)} {name}".encode()).hexdigest()


def kept(program: Callable[..., Any], name: str | None) -> Callable[..., Any]:
    """A function that does as `program` does and, once kept, is quick to trace. For use in a jit.

    name: as above; None, several devices or no folder to keep it in leave `program` as it is.
    """
    if name is None or _folder is None or jax.device_count() > 1:
        return program
    place = _folder

    def stand_in(*given: Any) -> Any:
        leaves, structure = jax.tree.flatten(given)
        shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in map(_typed, leaves)]
        path = place / place_of(f"{name} {structure} {shapes}")
        found = _load(path) or _make(program, structure, shapes, path)
        if found is None:
            return program(*given)
        exported, skeleton = found
        return jax.tree.map(exported.call(*leaves).__getitem__, skeleton)

    return stand_in


def _typed(leaf: Any) -> Any:
    return leaf if hasattr(leaf, "dtype") else jax.numpy.asarray(leaf)


Found = tuple[export.Exported, Any]
"""A program over leaves, and its result's structure with the place of each leaf in it."""


def _load(path: Path) -> Found | None:
    """What lies there, if it is whole."""
    try:
        blob, skeleton = pickle.loads(read(path))
        return export.deserialize(bytearray(blob)), skeleton
    except Exception:  # whatever is wrong with it, it can be made again
        return None


def _make(
    program: Callable[..., Any], structure: Any, shapes: list[Any], path: Path
) -> Found | None:
    """Trace a program and keep it; None where it cannot be kept."""
    skeleton: list[Any] = []

    def flat(*leaves: Any) -> list[Any]:
        values, result = jax.tree.flatten(program(*jax.tree.unflatten(structure, leaves)))
        skeleton[:] = [jax.tree.unflatten(result, range(len(values)))]
        return values

    try:
        exported = export.export(jax.jit(flat))(*shapes)
        body = pickle.dumps((bytes(exported.serialize()), skeleton[0]))
    except (NotImplementedError, ValueError, pickle.PicklingError, AttributeError):
        # It cannot be exported, or its result is of a kind that cannot be pickled. Whatever is
        # wrong with the program itself is raised when it is traced as it is.
        return None
    with contextlib.suppress(OSError):
        write(path, body)
    return exported, skeleton[0]


def read(path: Path) -> bytes:
    """What `write` put there; ValueError where it is damaged."""
    content = path.read_bytes()
    body = content[DIGEST:]
    if hashlib.sha256(body).digest() != content[:DIGEST]:
        raise ValueError(f"{path} is damaged")
    return body


def write(path: Path, body: bytes) -> None:
    """All of it or nothing, whoever else is writing the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(body).digest() + body)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
