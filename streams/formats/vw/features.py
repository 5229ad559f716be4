"""Features by name, as the columns of a vector: one each, or hashed into fewer.

See also: dsjson.py and vw_line.py for the features of a line.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable

Features = dict[str, float]
"""`namespace|name` (`name` in the default namespace) -> value; an absent feature is 0."""

DIGITS = re.compile(r"(\d+)")


def add_feature(features: Features, name: str, value: float) -> None:
    """Add one feature; values of the same name add up, as in any linear predictor.

    features: changed in place.
    name: `namespace|name`.
    value: its value.
    """
    features[name] = features.get(name, 0.0) + value


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts x|2 before x|10.

    name: name of a feature.
    """
    parts = DIGITS.split(name)
    return [(len(part.lstrip("0")) * (i % 2), part) for i, part in enumerate(parts)]


class Vocabulary:
    """The column of each feature.

    A feature first seen later has no column unless features are hashed.

    seen: features of the first lines.
    most: most columns; if there are more features, the commonest have one and the others none.
    hashed: if above 0, the number of columns that names are hashed into; values in one column add
        up.
    size: number of columns.
    names: name of each column, () if hashed.
    known: number of different features seen.
    """

    def __init__(self, seen: Iterable[Features], most: int, hashed: int = 0) -> None:
        counts: Counter[str] = Counter()
        for features in seen:
            counts.update(features.keys())
        self.known, self.hashed = len(counts), hashed
        # Ties are broken by name, so that the same lines in another order give the same columns.
        common = sorted(counts, key=lambda name: (-counts[name], name))[:most]
        self.names = () if hashed else tuple(sorted(common, key=natural_key))
        self._place = {name: place for place, name in enumerate(self.names)}
        self.size = hashed or len(self.names)

    def vector(self, features: Features) -> list[float]:
        """Return the columns `[size]` of one line.

        features: features of the line.
        """
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

    def describe_limit(self, kind: str, format_name: str) -> str:
        """Return a note for the user if there are fewer columns than features, else "".

        kind: "context" or "action".
        format_name: name of the format, for the remedy.
        """
        if self.hashed or self.known <= self.size:
            return ""
        return (
            f"{self.known} {kind} features, of which the {self.size} commonest are columns; read "
            f"as {format_name}:columns=N there are more, as {format_name}:hash=N all are in N "
            "columns"
        )
