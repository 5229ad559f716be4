"""Cache of traced programs between processes, so that a known program is not traced again.

Tracing a step takes seconds of Python, and JAX's own cache stores only compiled code. A program's
file name is a hash of its name, argument shapes, this package's source and the versions of its
dependencies. A program without a name (it contains a user's code or data) is traced every time. The
folder may be deleted at any time: a missing, damaged or outdated file is rebuilt. Files hold no
pickles, but a program may name any custom call of jaxlib: only its owner may write to the folder.
See also: skeletons.py for the structure of results.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import struct
import tempfile
import warnings
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from jax import export

from ....posteriors.base import Model
from ....streams.storage import private
from .skeletons import Unstorable, decode_skeleton, encode_skeleton

PACKAGES = ("jax", "jaxlib", "numpyro", "optax", "blackjax", "numpy")
SETTINGS = (
    "jax_enable_x64",
    "jax_threefry_partitionable",
    "jax_default_prng_impl",
    "jax_default_matmul_precision",
)
OURS = ("uncertain.posteriors", "uncertain.streams", "uncertain.decide")
DIGEST = hashlib.sha256().digest_size
LENGTH = struct.Struct("<Q")
"""Bytes of the skeleton, which precedes the program."""

_folder: Path | None = None


def set_cache_folder(folder: Path | None) -> None:
    """Set the folder of the cache for this process.

    folder: the folder; None disables the cache.
    """
    global _folder
    _folder = folder


def store_programs(folder: Path) -> None:
    """Store compiled programs in JAX's own cache, and traced ones beside it.

    folder: of JAX's cache.
    """
    # A full or broken cache, or a program that another process is just writing, costs time, not
    # correctness: no warning is shown.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent")
    set_cache_folder(folder.with_name("programs"))
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def cache_folder() -> Path | None:
    """Return the folder of the cache; None while the cache is disabled."""
    return _folder


def model_name(model: Model) -> str | None:
    """Name a built-in model by all that determines it.

    model: the model.

    Returns: a text that is equal only for equal models; None for a user's own model.
    """
    kind = type(model)
    text = repr(model)
    # Two models may differ in a part that their representation omits or abbreviates.
    whole = dataclasses.is_dataclass(kind) and all(f.repr for f in dataclasses.fields(kind))
    if (
        not (kind.__module__.startswith("uncertain.") and whole)
        or "..." in text
        or " at 0x" in text
    ):
        return None
    return f"{kind.__module__} {text}"


@lru_cache(maxsize=8)
def source_stamp(settings: tuple[Any, ...]) -> str:
    """Hash the settings, dependency versions and source files that determine a program.

    settings: values of the JAX settings.

    Returns: hexadecimal digest.
    """
    found = hashlib.sha256(repr(settings).encode())
    for package in PACKAGES:
        found.update(f"{package} {version(package)};".encode())
    for package in OURS:
        place = Path(import_module(package).__path__[0])
        for file in sorted(place.rglob("*.py")):
            found.update(file.relative_to(place).as_posix().encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def cache_file_name(name: str) -> str:
    """Name the file that caches the program of this name, with the present source and settings.

    name: all else that determines the program.

    Returns: hexadecimal digest.
    """
    settings = (jax.default_backend(), *(getattr(jax.config, name) for name in SETTINGS))
    return hashlib.sha256(f"{source_stamp(settings)} {name}".encode()).hexdigest()


def cached_program(program: Callable[..., Any], name: str | None) -> Callable[..., Any]:
    """Wrap a program so that its trace is read from the cache or written to it; for use in a jit.

    program: function of arrays, without side effects.
    name: all that determines the program; None disables the cache for it.

    Returns: an equivalent function; `program` itself without a name or folder, or with several
        devices.
    """
    if name is None or _folder is None or jax.device_count() > 1:
        return program
    place = _folder

    def stand_in(*given: Any) -> Any:
        leaves, structure = jax.tree.flatten(given)
        shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in map(_typed, leaves)]
        path = place / cache_file_name(f"{name} {structure} {shapes}")
        found = _load(path) or _make(program, structure, shapes, path)
        if found is None:
            return program(*given)
        exported, skeleton = found
        return jax.tree.map(exported.call(*leaves).__getitem__, skeleton)

    return stand_in


def _typed(leaf: Any) -> Any:
    """The leaf as an array with a dtype."""
    return leaf if hasattr(leaf, "dtype") else jax.numpy.asarray(leaf)


Found = tuple[export.Exported, Any]
"""A program over leaves, and the structure of its result with the index of each leaf."""


def _load(path: Path) -> Found | None:
    """Read a cached program; None if the file is missing or damaged."""
    try:
        body = read_checked(path)
        begin = LENGTH.size + LENGTH.unpack_from(body)[0]
        skeleton = decode_skeleton(body[LENGTH.size : begin])
        return export.deserialize(bytearray(body[begin:])), skeleton
    except Exception:  # any fault: the program is traced again
        return None


def _make(
    program: Callable[..., Any], structure: Any, shapes: list[Any], path: Path
) -> Found | None:
    """Trace a program and write it to the cache; None if it cannot be exported."""
    skeleton: list[Any] = []

    def flat(*leaves: Any) -> list[Any]:
        values, result = jax.tree.flatten(program(*jax.tree.unflatten(structure, leaves)))
        skeleton[:] = [jax.tree.unflatten(result, range(len(values)))]
        return values

    try:
        exported = export.export(jax.jit(flat))(*shapes)
        text = encode_skeleton(skeleton[0])
        body = LENGTH.pack(len(text)) + text + bytes(exported.serialize())
    except (NotImplementedError, ValueError, Unstorable):
        # It cannot be exported, or its result cannot be stored. A fault of the program itself is
        # raised when it is traced without the cache.
        return None
    with contextlib.suppress(OSError):
        write_checked(path, body)
    return exported, skeleton[0]


def read_checked(path: Path) -> bytes:
    """Read a file that `write_checked` wrote.

    path: the file.

    Returns: its body.
    Raises: ValueError if the file is damaged.
    """
    content = path.read_bytes()
    body = content[DIGEST:]
    if hashlib.sha256(body).digest() != content[:DIGEST]:
        raise ValueError(f"{path} is damaged")
    return body


def write_checked(path: Path, body: bytes) -> None:
    """Write a file atomically, with a checksum; concurrent writers do not harm each other.

    path: the file; its folder is created.
    body: bytes to store.
    """
    private.make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent)
    with contextlib.ExitStack() as failed:
        failed.callback(Path(name).unlink, missing_ok=True)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(body).digest() + body)
        os.replace(name, path)
        failed.pop_all()
