"""Conversations as a Hugging Face dataset, through a temporary Parquet file."""

import asyncio
import atexit
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from backstay.errors import EmptySelection, SettingsError
from backstay.library.exports.exporter import Exporter
from backstay.library.exports.request import ExportRequest
from backstay.library.selection import Selection
from backstay.optional_packages import packages_missing

if TYPE_CHECKING:
    import datasets


async def to_dataset(exporter: Exporter, selection: Selection | None) -> "datasets.Dataset":
    """Return the selected conversations as a memory-mapped dataset. Raises like `Conversations.to_dataset`."""
    try:
        import datasets
    except ImportError as error:
        raise SettingsError(packages_missing("A dataset", "datasets"), setting="datasets") from error
    folder = Path(mkdtemp(prefix="backstay-dataset-"))
    # Removed at exit, not with the dataset: datasets derived from it write their files into the same folder.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "conversations.parquet"
    with file.open("wb") as stream:  # errors would name a path
        result = await exporter.write(stream, selection, ExportRequest(format="parquet"))
    if not result.exported:
        raise EmptySelection("No conversation is selected")
    dataset = await asyncio.to_thread(datasets.Dataset.from_parquet, str(file), cache_dir=str(folder))
    file.unlink()
    return dataset
