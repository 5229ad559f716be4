"""One grammar of durations."""

import subprocess
import sys

import pytest
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.units import parse_duration, parse_half_life


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ns", 250e-9),
        ("300us", 3e-4),
        ("300 µs", 3e-4),
        (" 5ms ", 5e-3),
        (".1s", 0.1),
        ("2.s", 2.0),
        ("10m", 600.0),
        ("2h", 7200.0),
    ],
)
def test_every_unit_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-15)
    assert parse_half_life(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("20", "it has no unit; write 20s"),
        ("5 min", "minutes are m; write 5m"),
        ("0s", "write 5ms, 300us or 0.1s"),
        ("-1ms", "write 5ms"),
        ("5 weeks", "write 5ms"),
        ("inf", "write 5ms"),
        ("", "write 5ms"),
    ],
)
def test_other_text_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        parse_duration(text)


def test_a_half_life_may_be_endless() -> None:
    assert parse_half_life("inf") == float("inf")


def test_errors_specs_and_units_import_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from uncertain.posteriors import UsageError\n"
        "from uncertain.posteriors import errors, specs, units\n"
        "print(sorted({'jax', 'numpy', 'numpyro', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_package_gives_its_public_names() -> None:
    from uncertain import posteriors

    for name in posteriors.__all__:
        assert name in dir(posteriors)
        assert getattr(posteriors, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = posteriors.nothing
