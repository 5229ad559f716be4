"""Collections of posteriors: data and reference draws or moments.

Three layouts are read, posteriordb's and the Inference Gym's; a JSON file may be zipped.

    NAME/data.json, NAME/reference_draws.json.zip           a folder for each posterior
    posteriors/NAME.json, data/data/, reference_posteriors/ posteriordb's own repository
    NAME.ground_truth.json, NAME.data.json                  Inference Gym, turned to JSON

See also: ../../posteriors/targets/registry.py for the models of the data.
Sources: Magnusson et al. (2024), posteriordb; Sountsov et al. (2020), Inference Gym.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ...posteriors.errors import UsageError
from ...posteriors.specs import nearest
from ...posteriors.targets.base import Data

DRAWS, TRUTH = "reference_draws.json", ".ground_truth.json"
ELEMENT = re.compile(r"(.+)\[(\d+(?:,\d+)*)\]")
SPREAD, ERROR = "STANDARD_DEVIATION", "MEAN_STANDARD_ERROR"


class PosteriorFiles(NamedTuple):
    """Files of one posterior.

    name: name in the collection.
    model: name of its model there.
    data: data file, None if there is none.
    draws: reference draws, None if there are none.
    truth: reference moments, None if there are none.
    folder: folder that data files of a model's own are sought in.
    """

    name: str
    model: str
    data: Path | None
    draws: Path | None
    truth: Path | None
    folder: Path


class ReferenceMoments(NamedTuple):
    """Reference moments, arrays by quantity.

    mean: mean.
    error: standard error of the mean.
    sd: standard deviation.
    """

    mean: dict[str, np.ndarray]
    error: dict[str, np.ndarray]
    sd: dict[str, np.ndarray]


def find_posteriors(folder: Path) -> dict[str, PosteriorFiles]:
    """Find every posterior of a collection.

    folder: folder of the collection.
    Returns: files by name of the posterior.
    Raises: UsageError if there is none.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; --data names one that holds posteriors")
    found = {}
    for path in sorted(folder.glob("*/data.json*")):
        name = path.parent.name
        draws = _present(path.parent / DRAWS)
        found[name] = PosteriorFiles(name, _model_of(name), path, draws, None, path.parent)
    for path in sorted(folder.glob("posteriors/*.json")):
        name, said = path.stem, _read_json(path)
        if not isinstance(said, dict) or not isinstance(said.get("data_name"), str):
            raise UsageError(f'{path}: has no "data_name"; a posterior of posteriordb names it')
        data = _present(folder / "data" / "data" / f"{said['data_name']}.json")
        kept = f"{said.get('reference_posterior_name') or name}.json"
        draws = _present(folder / "reference_posteriors" / "draws" / "draws" / kept)
        found[name] = PosteriorFiles(
            name, said.get("model_name", _model_of(name)), data, draws, None, folder
        )
    for path in sorted(folder.glob(f"*{TRUTH}")):
        name = path.name.removesuffix(TRUTH)
        data = _present(folder / f"{name}.data.json")
        found[name] = PosteriorFiles(name, name, data, None, path, folder)
    if not found:
        raise UsageError(
            f"{folder}: holds no posterior: neither NAME/data.json, posteriors/NAME.json nor "
            f"NAME{TRUTH}"
        )
    return found


def _model_of(name: str) -> str:
    """The model in posteriordb's `DATA-MODEL`."""
    return name.partition("-")[2] or name


def _present(path: Path) -> Path | None:
    """The file, or the same zipped, if either is there."""
    for one in (path, path.with_name(path.name + ".zip")):
        if one.is_file():
            return one
    return None


def select_posteriors(
    found: dict[str, PosteriorFiles], names: tuple[str, ...]
) -> list[PosteriorFiles]:
    """Select the named posteriors, or all.

    found: all posteriors of the collection.
    names: names that the user asked for; empty for all.
    Raises: UsageError for an unknown name.
    """
    for name in names:
        if name not in found:
            raise UsageError(f'no target called "{name}"{nearest(name, list(found))}')
    return [found[name] for name in names or found]


def read_data(source: PosteriorFiles, file: str | None) -> Data:
    """Read the data of a posterior.

    source: its files.
    file: file that its model names (`Target.file`), "" for the usual one, None if there are no
        data.
    Raises: UsageError if the file is missing or not of numbers.
    """
    if file is None:
        return Data({}, source.name)
    path = source.folder / file if file else source.data
    if path is None or not path.is_file():
        where = file or f"{source.name}.data.json"
        raise UsageError(f"{source.folder}: has no {where}, the data of {source.name}")
    if path.suffix not in (".json", ".zip"):
        return _read_columns(path)
    said = _read_json(path)
    if not isinstance(said, dict):
        raise UsageError(f"{path}: should be one JSON object of numbers and lists")
    return Data({name: _numbers(path, name, value) for name, value in said.items()}, str(path))


def _read_columns(path: Path) -> Data:
    """A table of numbers under a line of names, all parted by blanks."""
    lines = path.read_text(errors="replace").splitlines()
    names = lines[0].split() if lines else []
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            rows.append([float(cell) for cell in line.split()])
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}; a cell should be a number") from error
        if len(rows[-1]) != len(names):
            raise UsageError(f"{path}:{number}: {len(rows[-1])} cells under {len(names)} names")
    return Data(dict(zip(names, np.asarray(rows).T, strict=True)), str(path))


def read_draws(path: Path) -> dict[str, np.ndarray]:
    """Read reference draws by name, `[n, ...]`, the chains one after another.

    path: JSON file, may be zipped.
    Raises: UsageError if it is not of draws.
    """
    said = _read_json(path)
    if not isinstance(said, list) or not all(isinstance(chain, dict) for chain in said):
        raise UsageError(f"{path}: should be a JSON list with an object of draws for each chain")
    parts: dict[str, dict[tuple[int, ...], np.ndarray]] = {}
    for label in said[0] if said else ():
        column = [number for chain in said for number in chain.get(label, ())]
        element = ELEMENT.fullmatch(label)
        name = element[1] if element else label
        place = tuple(int(i) - 1 for i in element[2].split(",")) if element else ()
        parts.setdefault(name, {})[place] = _numbers(path, label, column)
    if len({len(column) for places in parts.values() for column in places.values()}) != 1:
        raise UsageError(f"{path}: not all names have as many draws")
    return {name: _assembled(path, name, places) for name, places in parts.items()}


def _assembled(path: Path, name: str, places: dict[tuple[int, ...], np.ndarray]) -> np.ndarray:
    """Columns `[n]` by place as one array `[n, ...]`."""
    shape = tuple(max(index) + 1 for index in zip(*places, strict=True))
    if len(places) != int(np.prod(shape, dtype=int)):
        raise UsageError(f"{path}: {name}[...] has {len(places)} elements of shape {shape}")
    whole = np.empty((*shape, len(next(iter(places.values())))))
    for place, column in places.items():
        whole[place] = column
    return np.moveaxis(whole, -1, 0)


def read_moments(path: Path, names: tuple[str, ...]) -> ReferenceMoments:
    """Read reference moments.

    path: JSON file, may be zipped.
    names: quantities; a single one may have no name in the file.
    Raises: UsageError if one is missing.
    """
    said = _read_json(path)
    if not isinstance(said, dict):
        raise UsageError(f"{path}: should be one JSON object of means and standard deviations")
    parts: list[dict[str, np.ndarray]] = []
    for ending in ("MEAN", ERROR, SPREAD):
        part = {}
        for name in names:
            key = f"IDENTITY_{name.upper()}_{ending}"
            if len(names) == 1 and key not in said:
                key = f"IDENTITY_{ending}"
            if key not in said:
                raise UsageError(f"{path}: has no {key}{nearest(key, list(said))}")
            part[name] = _numbers(path, key, said[key])
        parts.append(part)
    return ReferenceMoments(*parts)


def _read_json(path: Path) -> Any:
    """What a JSON file says, zipped or not; NaN, which JSON has not, is let pass."""
    try:
        body = path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as packed:
                body = packed.read(packed.namelist()[0])
        try:
            return msgspec.json.decode(body)
        except Exception:  # NaN among others; the slower one says what is wrong
            return json.loads(body)
    except (OSError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: cannot be read as JSON: {error}") from error


def _numbers(path: Path, name: str, value: Any) -> np.ndarray:
    """A number or (nested) list as an array; whole numbers stay whole."""
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise UsageError(f'{path}: "{name}" is ragged: {error}') from error
    if found.dtype.kind not in "iuf" and found.size:
        raise UsageError(f'{path}: "{name}" should be numbers')
    return found
