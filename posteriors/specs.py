"""Specs: from typed text to an object. `name`, `name:key=value:...`, `file.py:object:...`.

Built-in names come from a registry, installed ones from an entry-point group, and files are run
as they are. Every failure is one `UsageError`, in a user's own file with its line.

See also: contract.py for checks of the loaded object.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .errors import UsageError

USER_MODULE = "uncertain_user_"
"""Beginning of the names of modules made of users' files."""


class Spec(NamedTuple):
    """A parsed spec.

    target: a name or "file.py:object".
    settings: option -> value, sorted, hashable.
    """

    target: str
    settings: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        """The text that parses to this spec."""
        return ":".join([self.target, *(f"{k}={v}" for k, v in self.settings)])


def parse_spec(text: str) -> Spec:
    """Parse `"smc:move=walk:ess=0.3"` to Spec("smc", (("ess", 0.3), ("move", "walk"))).

    text: as typed.
    """
    parts = text.split(":")
    settings: dict[str, Any] = {}
    while len(parts) > 1 and "=" in parts[-1]:
        key, _, value = parts.pop().partition("=")
        settings[key.strip().replace("-", "_")] = _literal(value.strip())
    return Spec(":".join(parts), tuple(sorted(settings.items())))


def _literal(text: str) -> Any:
    """A Python literal if the text is one, else the text; lists become tuples."""
    lowered = {"true": True, "false": False, "none": None}.get(text.lower(), text)
    if lowered is not text:
        return lowered
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two: too deep for it
        return text
    return tuple(value) if isinstance(value, list) else value


def nearest(name: str, known: list[str]) -> str:
    """Suggest a name: `; did you mean "x"?`, or the list of known names.

    name: as typed.
    known: names that would be accepted.
    """
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f'; did you mean "{close[0]}"?' if close else f"; there are: {', '.join(sorted(known))}"


def find_object(kind: str, target: str, registry: Mapping[str, Any]) -> Any:
    """Find a registry's entry, an installed entry point or an object in a user's file.

    kind: "model", "posterior", ..., for errors and the entry-point group.
    target: a name or "file.py:object".
    registry: the built-in entries.

    Raises: UsageError if there is none, or loading it fails.
    """
    if target in registry:
        return registry[target]
    path, _, name = target.rpartition(":")
    if path.endswith(".py") or target.endswith(".py"):
        if not path:
            raise UsageError(f"{kind} {target}: name an object in the file, {target}:build")
        return _load_file(kind, path, name)
    from importlib.metadata import entry_points  # start-up: it brings e-mail and zip readers

    for point in entry_points(group=f"uncertain.{kind}s"):
        if point.name == target:
            try:
                return point.load()
            except Exception as error:  # a foreign package may fail in any way at all
                raise UsageError(f"{kind} {target}: {point.value} failed: {error}") from error
    raise UsageError(f'no {kind} called "{target}"{nearest(target, list(registry))}')


def _load_file(kind: str, path: str, name: str) -> Any:
    """Run a user's file and take one object from it."""
    module = load_user_file(kind, path)
    if not hasattr(module, name):
        known = [n for n in vars(module) if not n.startswith("_")]
        raise UsageError(f"{kind} {path}: has no {name!r}{nearest(name, known)}")
    return getattr(module, name)


@lru_cache(maxsize=64)
def load_user_file(kind: str, path: str) -> ModuleType:
    """Run a user's file, once.

    kind: for errors.
    path: of the file.

    Raises: UsageError with the file's own line if it fails.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"{kind} {path}: no such file")
    module_name = f"{USER_MODULE}{file.stem}_{abs(hash(file.resolve()))}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(module_name, None)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise UsageError(
            f"{kind} {path}{own_line(error, path)}: {describe_error(error)}"
        ) from error
    finally:
        sys.path.remove(str(file.parent))
    return module


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type if it has none.

    error: any exception.
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def describe_error(error: BaseException) -> str:
    """Return type and first line of an error.

    error: any exception.
    """
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg}"
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__


def own_line(error: BaseException, path: str) -> str:
    """Return `:12` if line 12 of the user's file raised an error, else nothing.

    error: any exception.
    path: the user's file.
    """
    if isinstance(error, SyntaxError) and error.lineno:
        return f":{error.lineno}"
    resolved = str(Path(path).resolve())
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if str(Path(f.filename).resolve()) == resolved]
    return f":{lines[-1]}" if lines else ""


def configure(kind: str, target: str, config: Any, settings: Mapping[str, Any]) -> Any:
    """Make a frozen configuration dataclass.

    kind, target: for errors.
    config: the dataclass.
    settings: option -> value.

    Raises: UsageError for unknown options and wrong types.
    """
    fields = {f.name: f for f in dataclasses.fields(config) if f.init}
    values = {}
    for key, value in settings.items():
        if key not in fields:
            raise UsageError(f'{kind} {target} has no option "{key}"{nearest(key, list(fields))}')
        values[key] = _convert(kind, target, key, value, fields[key])
    return config(**values)


def _convert(kind: str, target: str, key: str, value: Any, field: dataclasses.Field) -> Any:
    """`value` as the field's own type."""
    default = field.default
    if default is dataclasses.MISSING or default is None:
        return value
    wanted = type(default)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is tuple and not isinstance(value, tuple):
        return (value,)
    if wanted is str and not isinstance(value, str):
        # "none" and "true" were words until `_literal` took them for Python's.
        return str(value).lower() if value is None or isinstance(value, bool) else str(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise UsageError(f"{kind} {target}: {key}={value!r} should be {wanted.__name__}")
    return value


def call_factory(kind: str, target: str, factory: Any, *args: Any, **settings: Any) -> Any:
    """Call a user's factory.

    kind, target: for errors.
    factory: the function.
    args: before the options.
    settings: option -> value.

    Raises: UsageError for unknown options, or with the user's own line if the factory fails.
    """
    parameters = inspect.signature(factory).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in settings:
        if key not in parameters and not open_ended:
            raise UsageError(
                f'{kind} {target} has no option "{key}"{nearest(key, list(parameters))}'
            )
    try:
        return factory(*args, **settings)
    except UsageError:
        raise
    except Exception as error:  # a user's code may fail in any way at all
        path = target.rpartition(":")[0]
        where = own_line(error, path) if path else ""
        raise UsageError(f"{kind} {target}{where}: {describe_error(error)}") from error
