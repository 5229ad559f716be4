"""Features by name, as the columns of a vector: one each, or hashed into fewer.

Not here: which features a line has (dsjson.py, vwtext.py).
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable

Features = dict[str, float]
"""`namespace|name` (`name` in the default namespace) -> value; what is not there is 0."""

DIGITS = re.compile(r"(\d+)")


def add(features: Features, name: str, value: float) -> None:
    """One more feature; of the same one twice the values add up, as in any linear predictor."""
    features[name] = features.get(name, 0.0) + value


def natural(name: str) -> list[tuple[int, str]]:
    """A key that puts x|2 before x|10."""
    parts = DIGITS.split(name)
    return [(len(part.lstrip("0")) * (i % 2), part) for i, part in enumerate(parts)]


class Vocabulary:
    """Which column each feature has.

    most: columns at most; where there are more features, the commonest have one and the rest none.
    hashed: where above 0, as many columns, into which names are hashed; features that share one
    add up. size: columns. names: of each, () where hashed. known: different features seen. A
    feature first seen later has no column unless they are hashed.
    """

    def __init__(self, seen: Iterable[Features], most: int, hashed: int = 0) -> None:
        counts: Counter[str] = Counter()
        for features in seen:
            counts.update(features.keys())
        self.known, self.hashed = len(counts), hashed
        # Ties are broken by name, so that the same lines in another order give the same columns.
        common = sorted(counts, key=lambda name: (-counts[name], name))[:most]
        self.names = () if hashed else tuple(sorted(common, key=natural))
        self._place = {name: place for place, name in enumerate(self.names)}
        self.size = hashed or len(self.names)

    def vector(self, features: Features) -> list[float]:
        """The columns `[size]` of one line."""
        values = [0.0] * self.size
        if self.hashed:
            for name, value in features.items():
                values[zlib.crc32(name.encode()) % self.hashed] += value
            return values
        for name, value in features.items():
            place = self._place.get(name)
            if place is not None:
                values[place] = value
        return values

    def note(self, what: str, form: str) -> str:
        """What a person should know where there are fewer columns than features, else nothing."""
        if self.hashed or self.known <= self.size:
            return ""
        return (
            f"{self.known} {what} features, of which the {self.size} commonest are columns; read "
            f"as {form}:columns=N there are more, as {form}:hash=N all are in N columns"
        )
