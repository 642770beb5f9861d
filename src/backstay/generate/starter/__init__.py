"""The files that one begins with: a recipe with comments, and a few topics that fit it."""

from importlib.resources import files
from pathlib import Path

from backstay.errors import OutputUnwritable
from backstay.files import write_atomically

NAMES = ("recipe.toml", "topics.csv")


def write(folder: Path) -> list[Path]:
    """Write the files into a folder, made when it is missing; return their paths. Nothing that is there is touched.

    Raises:
        OutputUnwritable: one of them is there already, or the folder cannot be written. None is written then.
    """
    paths = [folder / name for name in NAMES]
    for path in paths:
        if path.exists() or path.is_symlink():
            raise OutputUnwritable(f"{path} is there already; nothing was written. Move it away first", path=str(path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputUnwritable(f"{folder} cannot be made: {error.strerror}", path=str(folder)) from error
    for path in paths:
        with write_atomically(path) as out:
            out.write(files(__name__).joinpath(path.name).read_bytes())
    return paths
