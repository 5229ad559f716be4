"""Which arm has which place: named beforehand, or taken when a name is first met.

A model has so many places for arms, and arms may be fewer: a new name takes the next free place,
and keeps it, so that an arm which is offered again after a while finds what is known of it. Not
here: which arms a request offers (encode.py).
"""

from __future__ import annotations

from collections.abc import Sequence

Name = str | int


class Slots:
    """Arms by place, `count` places.

    names: of the first places. open: whether names that were not given take free places; if not,
    the others are called by their number.
    """

    def __init__(self, count: int, names: Sequence[Name] = (), open: bool = False) -> None:
        self.count, self.open = count, open
        self._named = min(len(names), count)
        self.names: list[Name] = list(names[:count])
        if not open:
            self.names += [str(i) for i in range(self._named, count)]
        # A name and the number it spells mean the same arm; a number works where no name is one.
        self._places: dict[object, int] = {str(name): i for i, name in enumerate(self.names)}
        if not open:
            self._places |= {i: self._places.get(str(i), i) for i in range(count)}
        self._settled = len(self.names)

    def __len__(self) -> int:
        """Arms that there are."""
        return len(self.names)

    def place(self, name: object) -> int | None:
        """The place of an arm; None of a name that is not known and can have none."""
        if isinstance(name, bool):
            return None
        if not self.open:
            return self._places.get(name)
        if not isinstance(name, str | int):
            return None
        found = self._places.get(str(name))
        if found is None and not self.full:
            found = self._places[str(name)] = len(self.names)
            self.names.append(name)
        return found

    def label(self, place: int) -> Name:
        """What a client calls an arm: its name, or its number where it has none."""
        return self.names[place] if self.open or place < self._named else place

    @property
    def full(self) -> bool:
        """Whether no further name can have a place."""
        return len(self.names) >= self.count

    def settle(self) -> None:
        """The line was taken in: names it brought stay."""
        self._settled = len(self.names)

    def discard(self) -> None:
        """The line was refused: forget the names that it brought."""
        for name in self.names[self._settled :]:
            del self._places[str(name)]
        del self.names[self._settled :]

    @property
    def facts(self) -> list[Name]:
        """All that `put_back` needs."""
        return self.names[: self._settled] if self.open else []

    def put_back(self, facts: Sequence[Name]) -> None:
        """The places as they were when `facts` was read."""
        for name in facts:
            self.place(name)
        self.settle()
