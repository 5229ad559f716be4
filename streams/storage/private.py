"""Rights of what holds users' data: for its owner alone, however wide the umask is.

A folder that is there already keeps its rights.
"""

from pathlib import Path

FILE = 0o600
FOLDER = 0o700


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone.

    folder: path; nothing happens if it exists.
    Raises: OSError if it cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=FOLDER, exist_ok=True)
