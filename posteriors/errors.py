"""The error that a user can put right.

Imports no numerical library, so that every room may use it at start-up.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape line ends and other unprintable characters.

    text: any text, such as a name from a damaged file.

    Returns: the text on one line.
    """
    if text.isprintable():
        return text
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(escaped)


class UsageError(Exception):
    """A mistake in a command, a file or a configuration; shown as one line, exit status 2.

    Quoted names may hold line ends or terminal codes; the message escapes them.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


__all__ = ["UsageError", "printable"]
