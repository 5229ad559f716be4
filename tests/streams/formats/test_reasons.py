"""The reason and words of a refused line, whatever the decoder's errors are called and say.

See also: test_ndjson.py and vw/test_dsjson.py for which line has which reason.
"""

import json
import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uncertain.cli.tables.results import load_results as load_results
from uncertain.decide.judge.measures import experiment_toml
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats import keyed, ndjson
from uncertain.streams.formats.field_errors import find_field_error
from uncertain.streams.formats.json_errors import check_json, find_non_finite
from uncertain.streams.formats.record import LineError, Where
from uncertain.streams.formats.tables import cells
from uncertain.streams.formats.vw import dsjson
from uncertain.streams.inputs import rejected
from uncertain.streams.inputs.base import Arrival
from uncertain.streams.inputs.redis_link import CommandRefused, error_code
from uncertain.streams.inputs.rejected import RejectedLines

HERE = Where("log", 3)
LINES = [
    (b'{"id":1,', "not JSON", "log:3: not JSON (it ends early)"),
    (b'{"id":1}}', "not JSON", "log:3: not JSON ('}' at byte 9 is out of place)"),
    (b"{'id':1}", "not JSON", 'log:3: not JSON ("\'" at byte 2 is out of place)'),
    (b'{"id":"\\ud800"}', "not JSON", "log:3: not JSON (half a surrogate pair at byte 8)"),
    (b'{"id":"\xff"}', "not UTF-8", "log:3: not UTF-8 text; write the file as UTF-8"),
    (b'{"id":1,"t":"\xff"}', "not UTF-8", "log:3: not UTF-8 text; write the file as UTF-8"),
    (b'{"id":1,"y":NaN}', "not a number", "log:3: y: NaN is no number"),
    (b'{"id":1,"x":[1,-Infinity]}', "not a number", "log:3: x: -Infinity is no number"),
    (b'{"id":1,"x":[1e999]}', "too large", "log:3: x[0]: too large for a number"),
    (b'{"id":1,"y":1' + b"0" * 400 + b"}", "too large", "log:3: y: too large for a number"),
    (b'{"id":1,"propensty":1}', "unknown field", 'log:3: no field called "propensty"; did you'),
    (b'{"id":1,"actions":[{"idd":1}]}', "unknown field", 'log:3: actions[0]: no field called "id'),
    (b'{"t":3}', "missing field", "log:3: id: missing; every line needs it"),
    (b"[1]", "wrong value", "log:3: expected object, got array; correct the line"),
    (b'{"id":1.5}', "wrong value", "log:3: id: expected int | str, got float; correct the line"),
    (b'{"id":1,"x":[1,null]}', "wrong value", "log:3: x[1]: expected float, got null"),
    (b'{"id":1,"cost":[1,0]}', "wrong value", "log:3: cost[1]: expected float > 0.0; correct"),
    (b'{"id":1,"weight":-1}', "wrong value", "log:3: weight: expected float >= 0.0; correct"),
    (b'{"id":1,"y":{}}', "wrong value", "y: expected bool | float | array | null, got object;"),
]


class Odd(Exception):
    """An error of a class that no library has."""


def odd(error: Exception) -> Exception:
    return Odd("sixpence")


def same_class(error: Exception) -> Exception:
    return msgspec.ValidationError("sixpence - at `$.weight`")


def no_class(error: Exception) -> Exception:
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "sixpence")


def broken(error: Exception) -> Exception:
    return msgspec.DecodeError("Object contains unknown field `y`, out of range")


class Other:
    """A decoder that accepts the same lines, and refuses the others by another exception."""

    def __init__(self, real: Any, raised: Callable[[Exception], Exception]) -> None:
        self._real, self._raised = real, raised

    def decode(self, *given: Any, **named: Any) -> Any:
        return self(self._real.decode, *given, **named)

    def __call__(self, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        try:
            return call(*given, **named)
        except Exception as error:
            raise self._raised(error) from None


@pytest.fixture(params=[odd, same_class, no_class, broken])
def other(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every decoder replaced."""
    made = Other(None, request.param)
    convert, decode, decoder = msgspec.convert, msgspec.json.decode, msgspec.json.Decoder
    monkeypatch.setattr(msgspec, "convert", lambda *a, **k: made(convert, *a, **k))
    monkeypatch.setattr(msgspec.json, "decode", lambda *a, **k: made(decode, *a, **k))
    monkeypatch.setattr(
        msgspec.json, "Decoder", lambda *a, **k: Other(decoder(*a, **k), request.param)
    )
    for module, name in ((ndjson, "_decoder"), (rejected, "_named"), (dsjson, "_decoder")):
        monkeypatch.setattr(module, name, Other(getattr(module, name), request.param))


def refusal(call: Callable[..., Any], *given: Any) -> tuple[str, str]:
    """Reason and message."""
    with pytest.raises(LineError) as caught:
        call(*given)
    return caught.value.reason, str(caught.value)


@pytest.mark.parametrize(("line", "reason", "words"), LINES)
def test_lines(other: None, line: bytes, reason: str, words: str) -> None:
    for decode in (ndjson.decode_line, keyed.build_decoder("user")):
        found, message = refusal(decode, line.replace(b'{"id"', b'{"user":"u","id"'), HERE)
        if decode is ndjson.decode_line:
            found, message = refusal(decode, line, HERE)
            assert words in message
        elif b"user" not in line and reason == "missing field":
            continue
        assert found == reason
        assert "sixpence" not in message
    sink: Any = None
    refusals = RejectedLines()
    error = LineError("why", reason)
    reply = refusals.reject(Arrival(HERE, 0, line, len(line), True, 0, sink), error)
    assert refusals.reasons == {reason: 1}
    assert "id" in reply


def test_lines_that_are_right(other: None) -> None:
    assert ndjson.decode_line(b'{"id":1,"y":2}', HERE).y == 2
    assert keyed.build_decoder("user")(b'{"id":1,"user":"u"}', HERE).key == "u"


def test_keys(other: None) -> None:
    decode = keyed.build_decoder("user")
    assert refusal(decode, b'{"id":1}', HERE) == (
        "missing field", "log:3: user: missing; every line needs it",
    )  # fmt: skip
    for key, words in (
        ('""', "expected str of length >= 1"),
        (f'"{"a" * 300}"', "expected str of length <= 200"),
        (str(2**63), f"expected int <= {2**63 - 1}"),
        ("true", "expected int | str, got bool"),
    ):
        line = f'{{"id":1,"user":{key}}}'.encode()
        assert refusal(decode, line, HERE) == (
            "wrong value", f"log:3: user: {words}; correct the line",
        )  # fmt: skip
        assert keyed.read_key(line, "user") is None


def test_fields_of_other_formats(other: None) -> None:
    assert refusal(ndjson.record_from_fields, {"y": 1}, HERE)[0] == "missing field"
    assert refusal(ndjson.record_from_fields, {"id": 1, "z": 1}, HERE)[0] == "unknown field"
    assert refusal(ndjson.record_from_fields, {"id": 1, "y": math.nan}, HERE)[0] == "not a number"
    assert refusal(ndjson.record_from_fields, {"id": 1, "y": 10**400}, HERE)[0] == "too large"
    assert refusal(ndjson.record_from_fields, {"id": 1, "x": ["a"]}, HERE) == (
        "wrong value", "log:3: x[0]: expected float, got str; correct the line",
    )  # fmt: skip
    assert refusal(cells.parse_cell, HERE, "a", '"a')[1].startswith(
        'log:3: a: "a is no text in quotes (it ends early);'
    )
    assert refusal(cells.parse_list, HERE, "a", "[1")[1].startswith(
        "log:3: a: '[1' is no list (it ends early);"
    )


@pytest.mark.parametrize(
    ("line", "reason", "words"),
    [
        (b'{"c":', "not JSON", "it ends early"),
        (b'{"c":NaN}', "not JSON", "NaN is no number"),
        (b'{"c":"\\ud800"}', "not JSON", "half a surrogate pair"),
        (b'{"c":"\xff"}', "not UTF-8", "not UTF-8 text"),
        (b'{"c":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON", "nested too deeply"),
    ],
)
def test_dsjson(other: None, line: bytes, reason: str, words: str) -> None:
    found, message = refusal(dsjson.decode_object, line, HERE)
    assert (found, words in message) == (reason, True)


def test_experiments(other: None) -> None:
    for text, words in (
        ("sedes = 3\n", 'x.toml:1: no key "sedes"; did you mean "seeds"?'),
        ('[[cells]]\nposterior = "exact"\nrefine = "x"\n', "x.toml:3: cells[0].refine: expected"),
        ('[[cells]]\nrule = "eig"\n', "x.toml: cells[0].posterior: missing"),
    ):
        with pytest.raises(UsageError) as caught:
            experiment_toml.decode_experiment(text, "x.toml")
        assert str(caught.value).startswith(words)


def test_results(other: None, tmp_path: Any) -> None:
    from uncertain.cli.environment import standard_environment

    file = tmp_path / "rows.ndjson"
    for line, words in ((b'{"a":', "not JSON (it ends early)"), (b'"\xff"', "not UTF-8")):
        file.write_bytes(line + b"\n")
        with pytest.raises(UsageError, match=words.replace("(", r"\(").replace(")", r"\)")):
            load_results(str(file), standard_environment())


def test_redis_codes_are_words_of_the_protocol() -> None:
    def code(text: str) -> str:
        return error_code(Exception(text))

    assert code("BUSY Redis is busy running a script.") == "BUSY"
    assert code("NOGROUP No such key 'a'") == "NOGROUP"
    script = "ERR Error running script (call to f_" + "0a" * 20 + "): @user_script:5: "
    assert code(script + "NOGROUP No such key 'a'") == "NOGROUP"
    # A name that a user chose is no code, nor is a word in the middle.
    assert code("No such stream as BUSY MISCONF NOGROUP") == ""
    assert CommandRefused("NOGROUP in its middle", code("in its NOGROUP middle")).code == ""


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(json_like, st.booleans())
def test_the_look_reads_what_python_writes(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    if "\ud800" <= max(text) <= "\udfff" or "Infinity" in text or "\\ud" in text:
        return
    found = check_json(text)
    assert not found.flaw
    assert plain(found.value) == json.loads(text)


def plain(value: Any) -> Any:
    """Objects as dictionaries."""
    from uncertain.streams.formats.json_errors import Pairs

    if isinstance(value, Pairs):
        return {name: plain(one) for name, one in value}
    return [plain(one) for one in value] if isinstance(value, list) else value


@settings(max_examples=500, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*ndjson.FIELDS, "idd"]), json_like).map(json.dumps)
    | st.text(max_size=40)
    | st.text('{}[]":,\\u0d8eE+-.1NaInfty ', max_size=40)
)
def test_the_look_finds_a_reason_where_the_decoder_refuses(text: str) -> None:
    line = text.encode("utf-8", "replace")
    try:
        msgspec.json.decode(line, type=ndjson.LineFields)
    except Exception:
        error = ndjson.explain_refusal(line, HERE)
        assert "cannot be read" not in str(error)
        assert "\n" not in str(error)
    else:
        found = check_json(line.decode())
        assert not found.flaw
        assert find_non_finite(found.value) is None
        assert find_field_error(found.value, ndjson.LineFields) is None


def test_the_look_goes_as_deep_as_the_text() -> None:
    assert check_json("[" * 200_000 + "]" * 200_000).depth == 200_000
    assert check_json('"' + "a" * 200_000).flaw == "it ends early"
    assert check_json("[" * 200_000).flaw == "it ends early"
