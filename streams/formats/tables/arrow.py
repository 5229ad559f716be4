"""Import of `pyarrow`, an optional dependency that Parquet files need."""

from __future__ import annotations

from typing import Any

from ....posteriors.errors import UsageError


def import_pyarrow(file: str, remedy: str) -> Any:
    """Import `pyarrow` with its Parquet part, an optional dependency.

    file: name for the message.
    remedy: what to do without it, in two or three words.
    Returns: the module.
    Raises: UsageError if it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            f"{file}: Parquet needs pyarrow: pip install 'uncertain[parquet]', or {remedy}"
        ) from error
    return pa
