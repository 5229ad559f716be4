"""Own reader of JSON text, for the reason and the place of an error.

A decoder only accepts or refuses; its messages and exception classes change between versions, so
nothing is read from them. This reader is slow and runs on refused text only.
See also: field_errors.py for values that do not fit their declared types.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

TOKEN = re.compile(
    r"(?P<mark>[\[\]{}:,])"
    r'|"(?P<text>(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+)"'
    r"|(?P<none>-?(?:NaN|Infinity|nan|inf))\b"
    r"|(?P<number>-?(?:0|[1-9][0-9]*+)(?P<broken>\.[0-9]++)?(?P<power>[eE][+-]?[0-9]++)?)"
    r"|(?P<word>true|false|null)\b"
)
UNFINISHED = re.compile(
    r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z'
    r"|-?(?:[0-9]++\.?|[0-9]++(?:\.[0-9]++)?[eE][+-]?)?\Z"
    r"|(?:t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?)\Z"
)
PLACES = re.compile(r"(?:\[\d+\])+$")
BLANK = re.compile(r"[ \t\n\r]*+")
ESCAPE = re.compile(r"\\(?:u([dD][89abAB]..)\\u([dD][c-fC-F]..)|u(....)|(.))")
PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
WORDS = {"true": True, "false": False, "null": None}
DIGITS = 4300
"""Digits of the longest whole number that Python reads."""


class Pairs(list[tuple[str, Any]]):
    """Keys and values of an object in their order, repeated keys included."""


class NonFinite(str):
    """NaN or an infinity, which JSON cannot express."""


class TooLarge(float):
    """A number beyond the range of a double."""


class JsonCheck(NamedTuple):
    """Result of reading a text.

    value: the value; None if the text is not JSON.
    flaw: the error in words, empty for JSON.
    depth: deepest nesting.
    """

    value: Any
    flaw: str
    depth: int


class JsonFlaw(Exception):
    """Raised where text stops being JSON.

    place: index of the first wrong character.
    problem: in words, empty for a misplaced character.
    """

    def __init__(self, place: int, problem: str = "") -> None:
        super().__init__(place, problem)
        self.place, self.problem = place, problem


def check_json(text: str) -> JsonCheck:
    """Read JSON text without recursion, however deeply nested.

    text: the whole text.
    Returns: the value, or the flaw with its byte.
    """
    reader = JsonReader(text)
    try:
        return JsonCheck(reader.read(), "", reader.deepest)
    except JsonFlaw as flaw:
        byte = len(text[: flaw.place].encode("utf-8", "surrogatepass")) + 1
        if flaw.problem:
            return JsonCheck(None, f"{flaw.problem} at byte {byte}", reader.deepest)
        if flaw.place >= len(text) or UNFINISHED.match(text, flaw.place):
            return JsonCheck(None, "it ends early", reader.deepest)
        return JsonCheck(
            None, f"{text[flaw.place]!r} at byte {byte} is out of place", reader.deepest
        )


class JsonReader:
    """Assembles the tokens of a text into values.

    deepest: deepest nesting so far.
    """

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._open: list[Any] = []
        self._keys: list[str] = []
        self.deepest = 0

    def read(self) -> Any:
        """Return the one value of the whole text. Raises JsonFlaw."""
        while True:
            value, closed = self._value()
            while closed:
                if not self._open:
                    self._skip()
                    if self._at < len(self._text):
                        raise JsonFlaw(self._at)
                    return value
                inside = self._open[-1]
                if isinstance(inside, Pairs):
                    inside.append((self._keys.pop(), value))
                else:
                    inside.append(value)
                mark, place = self._mark()
                if mark == ",":
                    if isinstance(inside, Pairs):
                        self._key()
                    break
                if mark != ("}" if isinstance(inside, Pairs) else "]"):
                    raise JsonFlaw(place)
                value = self._open.pop()

    def _value(self) -> tuple[Any, bool]:
        """The next value, and whether it is complete; a container just opened is not."""
        found, place = self._token()
        kind = found.lastgroup if found["mark"] else None
        if kind is None:
            return self._single(found, place), True
        if found["mark"] not in ("[", "{"):
            raise JsonFlaw(place)
        made: list[Any] = Pairs() if found["mark"] == "{" else []
        self.deepest = max(self.deepest, len(self._open) + 1)
        self._skip()
        end = "}" if found["mark"] == "{" else "]"
        if self._text.startswith(end, self._at):
            self._at += 1
            return made, True
        self._open.append(made)
        if isinstance(made, Pairs):
            self._key()
        return None, False

    def _single(self, found: re.Match[str], place: int) -> Any:
        if found["text"] is not None:
            return _plain(found["text"], place + 1)
        if found["none"]:
            return NonFinite(found["none"])
        if found["word"]:
            return WORDS[found["word"]]
        return _number(found["number"], bool(found["broken"] or found["power"]))

    def _key(self) -> None:
        found, place = self._token()
        if found["text"] is None:
            raise JsonFlaw(place)
        self._keys.append(_plain(found["text"], place + 1))
        mark, place = self._mark()
        if mark != ":":
            raise JsonFlaw(place)

    def _mark(self) -> tuple[str, int]:
        self._skip()
        place = self._at
        mark = self._text[place : place + 1]
        if mark not in (",", ":", "]", "}") or not mark:
            raise JsonFlaw(place)
        self._at += 1
        return mark, place

    def _token(self) -> tuple[re.Match[str], int]:
        self._skip()
        place = self._at
        found = TOKEN.match(self._text, place)
        if found is None:
            raise JsonFlaw(self._stopped(place))
        self._at = found.end()
        return found, place

    def _stopped(self, place: int) -> int:
        """The first character within a broken text that does not belong."""
        if not self._text.startswith('"', place) or UNFINISHED.match(self._text, place):
            return place
        inside = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
        found = inside.match(self._text, place)
        return found.end() if found else place

    def _skip(self) -> None:
        found = BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at


def _plain(text: str, place: int) -> str:
    """A text without its escapes. Raises Flaw for half a surrogate pair."""
    if "\\" not in text:
        return text

    def one(found: re.Match[str]) -> str:
        high, low, code, letter = found.groups()
        if high:
            return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
        if code is None:
            return PLAIN.get(letter, letter)
        if 0xD800 <= int(code, 16) < 0xE000:
            raise JsonFlaw(place + found.start(), "half a surrogate pair")
        return chr(int(code, 16))

    return ESCAPE.sub(one, text)


def _number(text: str, fraction: bool) -> int | float:
    """The number of a token; `TooLarge` beyond the range of its kind."""
    if not fraction:
        return int(text) if len(text) <= DIGITS else TooLarge("inf")
    value = float(text)
    return TooLarge(value) if value in (float("inf"), float("-inf")) else value


def find_non_finite(value: Any, place: str = "") -> tuple[str, str] | None:
    """Find the first NaN or infinity.

    value: as `check_json` gives it.
    place: path of the value.
    Returns: path, without indices in its own list, and spelling; or None.
    """
    waiting = [(place, value)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, NonFinite):
            return PLACES.sub("", place), str(value)
        if isinstance(value, Pairs):
            waiting += [(join_path(place, name), one) for name, one in reversed(value)]
        elif isinstance(value, list):
            waiting += [(f"{place}[{n}]", one) for n, one in reversed([*enumerate(value)])]
    return None


def join_path(place: str, name: str) -> str:
    """Return the path of a field within another.

    place: path of the outer field, may be empty.
    name: the inner field.
    """
    return f"{place}.{name}" if place else name
