"""Arms by slot: named beforehand, or assigned a free slot when a name first appears.

A model has a fixed number of arm slots; there may be fewer arms. A new name takes the next free
slot and keeps it, so that an arm that returns later meets the belief about it.
See also: encoding.py for the arms that a request lists.
"""

from __future__ import annotations

from collections.abc import Sequence

Name = str | int


class ArmSlots:
    """Arms by slot, `count` slots.

    count: number of slots.
    names: names of the first slots.
    open: whether new names take free slots; if not, the other arms are called by their number.
    """

    def __init__(self, count: int, names: Sequence[Name] = (), open: bool = False) -> None:
        self.count, self.open = count, open
        self._named = min(len(names), count)
        self.names: list[Name] = list(names[:count])
        if not open:
            self.names += [str(i) for i in range(self._named, count)]
        # A name and the number it spells mean the same arm; a number works where no name is one.
        self._slots: dict[object, int] = {str(name): i for i, name in enumerate(self.names)}
        if not open:
            self._slots |= {i: self._slots.get(str(i), i) for i in range(count)}
        self._committed = len(self.names)

    def __len__(self) -> int:
        """Return the number of arms known."""
        return len(self.names)

    def assign(self, name: object) -> int | None:
        """Return the slot of an arm; a new name takes a free slot if `open`.

        name: name or number as a line gives it.
        Returns: the slot; None if the name is unknown and can have none.
        """
        if isinstance(name, bool):
            return None
        if not self.open:
            return self._slots.get(name)
        if not isinstance(name, str | int):
            return None
        found = self._slots.get(str(name))
        if found is None and not self.full:
            found = self._slots[str(name)] = len(self.names)
            self.names.append(name)
        return found

    def name_of(self, slot: int) -> Name:
        """Return the name that a client uses for an arm: its name, or its number if it has none.

        slot: index of the arm.
        """
        return self.names[slot] if self.open or slot < self._named else slot

    @property
    def full(self) -> bool:
        """Whether no slot is free."""
        return len(self.names) >= self.count

    def commit(self) -> None:
        """Keep the names that the last line brought: the line was accepted."""
        self._committed = len(self.names)

    def rollback(self) -> None:
        """Forget the names that the last line brought: the line was rejected."""
        for name in self.names[self._committed :]:
            del self._slots[str(name)]
        del self.names[self._committed :]

    @property
    def assigned(self) -> list[Name]:
        """Names in slot order, enough for `restore`; empty unless `open`."""
        return self.names[: self._committed] if self.open else []

    def restore(self, names: Sequence[Name]) -> None:
        """Restore the slots from a checkpoint.

        names: an earlier value of `assigned`.
        """
        for name in names:
            self.assign(name)
        self.commit()
