"""docs/posteriors.md is what the methods' docstrings and the stored results say."""

import sys
from pathlib import Path

import pytest
from uncertain.posteriors.registry import POSTERIORS

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import posteriors_page  # a script, not a package


def test_page_is_as_made_now() -> None:
    assert posteriors_page.PAGE.read_text() == posteriors_page.posteriors_page()


def test_every_posterior_has_a_row_or_a_reason() -> None:
    rows = posteriors_page.measured_rows(posteriors_page.EXPERIMENT)
    assert rows.keys() | posteriors_page.ELSEWHERE.keys() == POSTERIORS.keys()
    assert not rows.keys() & posteriors_page.ELSEWHERE.keys()


def test_docstring_without_a_key_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posteriors_page, "parse_docstring", lambda text: ("idea", {}))
    with pytest.raises(KeyError):
        posteriors_page.posteriors_page()
