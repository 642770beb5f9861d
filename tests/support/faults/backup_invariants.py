"""The one checker of what Backstay promises about backups. It reads files and database by itself, without Backstay.

K1  every conversation that was deleted with a backup is in one that is verified, as it was
K2  a verified backup holds what its snapshot noted
K3  no file under a final name is anything but whole
K5  no backup that is verified lacks its file
K6  no file of a dead writer is left after a start
"""

import fcntl
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zstandard

from support.stores.sql import Ask, asking

Digests = Mapping[str, str]
"""Digests of conversations by their ids."""


def violations(
    database: Path | str, originals: Digests, *, safe: Path | None = None, is_started: bool = True
) -> list[str]:
    """Return every broken promise, each as a line that starts with its number; none when all hold.

    Args:
        database: The library.
        originals: All conversations that ever were in it, none of which anybody has changed.
        safe: Where backups go, when that is not beside the database.
        is_started: Backstay was started after whatever went wrong, and has ended.
    """
    with asking(database) as ask:
        folder = (safe or _beside(Path(database))) / _name(ask)
        files = {path.name.removesuffix(".json.zst"): path for path in folder.glob("backup-*.json.zst")}
        broken, readable = [], {}
        for backup, path in files.items():
            try:
                readable[backup] = contents(path.read_bytes())
            except (ValueError, KeyError, TypeError) as error:
                broken.append(f"K3: {path.name} is not whole: {error}")
        broken += _records(ask, files, readable)
        broken += _deleted(ask, originals, readable)
        if is_started:
            broken += [f"K6: {path.name} was left by a dead writer" for path in folder.glob(".*") if _is_free(path)]
        return broken


def contents(data: bytes) -> dict[str, str]:
    """Return the digests of what a backup file holds. Raises ValueError where it is not whole."""
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
        try:
            text = reader.read()
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
    document = json.loads(text)
    integrity, lines = document["integrity"], text.splitlines()[:-1]
    hashes = [hashlib.sha256(line.removesuffix(b",")).digest() for line in lines]
    if integrity["sha256"] != hashlib.sha256(b"".join(hashes)).hexdigest():
        raise ValueError("its checksum differs")
    if integrity["conversations"] != len(document["conversations"]):
        raise ValueError("its count differs")
    return {conversation["id"]: digest(conversation) for conversation in document["conversations"]}


def digest(document: Any) -> str:
    """Return the SHA-256 of canonical JSON."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _beside(database: Path) -> Path:
    return database.with_name(f"{database.stem}.backups")


def _name(ask: Ask) -> str:
    ((name,),) = ask("SELECT value FROM meta WHERE name = 'database_id'")
    return str(name)


def _records(ask: Ask, files: Mapping[str, Path], readable: Mapping[str, Digests]) -> list[str]:
    broken = []
    for key, name in ask("SELECT key, id FROM backups WHERE state = 'verified'"):
        if name not in files:
            broken.append(f"K5: {name} is verified, but its file is gone")
            continue
        items = ask("SELECT id, digest FROM backup_items WHERE backup_key = ?", key)
        noted = {item: bytes(digest).hex() for item, digest in items}
        if readable.get(name) != noted:
            broken.append(f"K2: {name} is verified, but does not hold what its snapshot noted")
    return broken


def _deleted(ask: Ask, originals: Digests, readable: Mapping[str, Digests]) -> list[str]:
    here = {name for (name,) in ask("SELECT id FROM conversations")}
    verified = {name for (name,) in ask("SELECT id FROM backups WHERE state = 'verified'")}
    safe = [readable[name] for name in verified if name in readable]
    return [
        f"K1: conversation {name} was deleted, and no verified backup holds it as it was"
        for name, wanted in originals.items()
        if name not in here and not any(held.get(name) == wanted for held in safe)
    ]


def _is_free(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
