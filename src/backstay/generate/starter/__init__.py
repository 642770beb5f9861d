"""Starter files: a commented recipe, and a few topics that fit it."""

from importlib.resources import files
from pathlib import Path

from backstay.errors import OutputUnwritable
from backstay.files import write_atomically

NAMES = ("recipe.toml", "topics.csv")


def write(folder: Path) -> list[Path]:
    """Write the starter files into a folder, which is created if missing, and return their paths.

    Raises:
        OutputUnwritable: a file exists already, in which case none is written, or the folder cannot be written.
    """
    paths = [folder / name for name in NAMES]
    for path in paths:
        if path.exists() or path.is_symlink():
            raise OutputUnwritable(f"{path} exists already; nothing was written. Move it away first", path=str(path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputUnwritable(f"{folder} cannot be created: {error.strerror}", path=str(folder)) from error
    for path in paths:
        with write_atomically(path) as out:
            out.write(files(__name__).joinpath(path.name).read_bytes())
    return paths
