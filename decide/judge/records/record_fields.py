"""Base of result records, whose fields can also be read by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec


class Fields(msgspec.Struct):
    """Base of records. Reading by key remains until all tables read attributes."""

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError as error:
            raise KeyError(name) from error

    def __contains__(self, name: object) -> bool:
        return name in self.__struct_fields__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__struct_fields__)

    def keys(self) -> tuple[str, ...]:
        """Return the names of the fields."""
        return self.__struct_fields__

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field.

        name: of the field.
        default: returned if there is no such field.
        """
        return getattr(self, name, default)
