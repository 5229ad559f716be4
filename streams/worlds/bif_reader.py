"""Read a Bayesian network from a file in the BIF format, refusing one that is none.

The parts that networks in circulation use: variables with discrete levels, and probability tables
with or without parents. Properties are skipped.
Source: Cozman (1998), the interchange format for Bayesian networks.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...posteriors.errors import UsageError
from ...posteriors.specs import nearest

TOKEN = re.compile(r'\s+|//[^\n]*|/\*.*?\*/|("[^"]*"|[{}()\[\],;|]|[^\s{}()\[\],;|"]+)', re.DOTALL)
OFF = 1e-3
"""How far the probabilities of a row may be from 1: files round them."""


class Network(NamedTuple):
    """A Bayesian network.

    names: of the nodes.
    levels: names of each node's levels.
    parents: of each node, as numbers of nodes.
    tables: of each node, `[levels of parent 1, ..., levels of the node]`.
    """

    names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    parents: tuple[tuple[int, ...], ...]
    tables: tuple[np.ndarray, ...]


class _Tokens:
    """Words of a file with their lines."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.place = path, 0
        self.words: list[tuple[str, int]] = []
        line = 1
        for found in TOKEN.finditer(text):
            if found[1] is not None:
                self.words.append((found[1], line))
            line += found[0].count("\n")
        self.last = line

    @property
    def line(self) -> int:
        """Line of the next word."""
        return self.words[self.place][1] if self.place < len(self.words) else self.last

    def fail(self, message: str) -> UsageError:
        """An error that names the file, and the line of the word taken last."""
        line = self.words[self.place - 1][1] if self.place else self.line
        return UsageError(f"{self.path}:{line}: {message}")

    def peek(self) -> str:
        """The next word; empty at the end."""
        return self.words[self.place][0] if self.place < len(self.words) else ""

    def take(self, expected: str = "") -> str:
        """The next word, which must be the expected one if any is."""
        word = self.peek()
        if not word or (expected and word != expected):
            raise UsageError(
                f"{self.path}:{self.line}: expected {expected or 'more'!r}, found "
                f"{word or 'the end'!r}"
            )
        self.place += 1
        return word

    def until(self, end: str) -> list[str]:
        """Words up to a closing one, commas left out."""
        found = []
        while (word := self.take()) != end:
            if word != ",":
                found.append(word)
        return found


def read_bif(path: str) -> Network:
    """Read a network.

    path: of the file.

    Raises: UsageError naming file and line, for unknown nodes, tables that do not fit or add up,
        and cycles.
    """
    try:
        tokens = _Tokens(path, Path(path).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
    levels: dict[str, tuple[str, ...]] = {}
    parents: dict[str, tuple[str, ...]] = {}
    tables: dict[str, np.ndarray] = {}
    while word := tokens.peek():
        tokens.take()
        if word == "network":
            while tokens.take() != "{":
                pass
            _skip_block(tokens)
        elif word == "variable":
            name, found = _variable(tokens)
            if name in levels:
                raise tokens.fail(f"variable {name} is there twice")
            levels[name] = found
        elif word == "probability":
            name, of, table = _probability(tokens, levels)
            if name in tables:
                raise tokens.fail(f"the probabilities of {name} are there twice")
            parents[name], tables[name] = of, table
        else:
            raise tokens.fail(
                f"{word!r} is no part of a BIF file: expected network, variable or probability"
            )
    if not levels:
        raise UsageError(f"{path}: has no variables: is it a BIF file?")
    for name in levels:
        if name not in tables:
            raise UsageError(f"{path}: variable {name} has no probabilities")
    names = tuple(levels)
    numbers = tuple(tuple(names.index(p) for p in parents[name]) for name in names)
    _refuse_cycle(path, names, numbers)
    return Network(names, tuple(levels.values()), numbers, tuple(tables[name] for name in names))


def _skip_block(tokens: _Tokens) -> None:
    """Skip to the end of a block that has begun."""
    depth = 1
    while depth:
        depth += {"{": 1, "}": -1}.get(tokens.take(), 0)


def _variable(tokens: _Tokens) -> tuple[str, tuple[str, ...]]:
    """Name and levels of a variable."""
    name = tokens.take()
    tokens.take("{")
    found: tuple[str, ...] = ()
    while (word := tokens.take()) != "}":
        if word == "property":
            tokens.until(";")
            continue
        if word != "type" or tokens.take() != "discrete":
            raise tokens.fail(f"variable {name}: only `type discrete` is understood")
        tokens.take("[")
        count = tokens.take()
        tokens.take("]")
        tokens.take("{")
        found = tuple(tokens.until("}"))
        tokens.take(";")
        if str(len(found)) != count or len(set(found)) < 2:
            raise tokens.fail(f"variable {name} says {count} levels and names {len(set(found))}")
    return name, found


def _probability(
    tokens: _Tokens, levels: dict[str, tuple[str, ...]]
) -> tuple[str, tuple[str, ...], np.ndarray]:
    """Node, parents and table of one block."""
    tokens.take("(")
    named = tokens.until(")")
    name, of = named[0] if named else "", tuple(n for n in named[1:] if n != "|")
    for node in (name, *of):
        if node not in levels:
            raise tokens.fail(f"no variable is called {node}{nearest(node, list(levels))}")
    shape = tuple(len(levels[node]) for node in (*of, name))
    table = np.full(shape, np.nan)
    tokens.take("{")
    while (word := tokens.take()) != "}":
        if word == "property":
            tokens.until(";")
        elif word == "table":
            # The node's own levels change slowest there.
            flat = _numbers(tokens, name, table.size)
            table[:] = np.moveaxis(flat.reshape(shape[-1], *shape[:-1]), 0, -1)
        elif word == "default":
            row = _numbers(tokens, name, shape[-1])
            table = np.where(np.isnan(table), row, table)
        elif word == "(":
            given = tokens.until(")")
            if len(given) != len(of):
                raise tokens.fail(f"{name} has {len(of)} parents, and this row {len(given)} levels")
            place = []
            for node, level in zip(of, given, strict=True):
                if level not in levels[node]:
                    known = nearest(level, list(levels[node]))
                    raise tokens.fail(f"{node} has no level {level}{known}")
                place.append(levels[node].index(level))
            table[tuple(place)] = _numbers(tokens, name, shape[-1])
        else:
            raise tokens.fail(f"probabilities of {name}: unexpected {word!r}")
    for row in itertools.product(*(range(k) for k in shape[:-1])):
        at = ", ".join(levels[node][k] for node, k in zip(of, row, strict=True))
        where = f"probabilities of {name}" + (f" given {at}" if at else "")
        if np.isnan(table[row]).any():
            raise tokens.fail(f"{where} are missing")
        if abs(table[row].sum() - 1) > OFF or table[row].min() < 0:
            raise tokens.fail(f"{where} add up to {table[row].sum():g}, not 1")
    return name, of, table / table.sum(-1, keepdims=True)


def _numbers(tokens: _Tokens, name: str, count: int) -> np.ndarray:
    """Numbers up to a semicolon."""
    words = tokens.until(";")
    try:
        found = np.asarray([float(word) for word in words])
    except ValueError:
        raise tokens.fail(f"probabilities of {name}: {' '.join(words)} are no numbers") from None
    if len(found) != count:
        raise tokens.fail(f"probabilities of {name}: {len(found)} numbers where {count} belong")
    return found


def _refuse_cycle(path: str, names: tuple[str, ...], parents: tuple[tuple[int, ...], ...]) -> None:
    """Refuse a network in which a node causes itself."""
    left = set(range(len(names)))
    while free := {j for j in left if not left & set(parents[j])}:
        left -= free
    if left:
        circle = ", ".join(names[j] for j in sorted(left))
        raise UsageError(f"{path}: {circle} are on a cycle: a network has none")
