"""Public scripts and styles, also for pages of other sites that use the elements.

The pages name them below a folder that stands for their content, so that a browser keeps them, and a step from one page
to the next requests none. Scripts import each other by relative addresses, so the folder holds for all of them.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

from fastapi import Header
from starlette.responses import Response

from backstay.server.problems import Problem
from backstay.server.routers import Router

router = Router(include_in_schema=False)

_MEDIA_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
_VERSION_PREFIX = "v-"
_KEPT = "public, max-age=31536000, immutable"
_HEADERS = {
    "Cache-Control": "no-cache",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


@dataclass(frozen=True, slots=True)
class _StaticFile:
    content: bytes
    media_type: str
    tag: str


@router.get("/static/{name:path}")
async def static_file(
    name: str, if_none_match: Annotated[str | None, Header(alias="If-None-Match")] = None
) -> Response:
    """Return a static file. Names are looked up in a table of all files, never on disk.

    A folder of another version has the same files: a server of another version, next to this one, may have named it.
    """
    folder, _, rest = name.partition("/")
    is_versioned = folder.startswith(_VERSION_PREFIX)
    file = _files().get(rest if is_versioned else name)
    if file is None:
        raise Problem(404, "not_found", "Not found")
    headers = {**_HEADERS, "ETag": file.tag}
    if folder == version_folder():
        headers["Cache-Control"] = _KEPT
    if if_none_match is not None and file.tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)


@cache
def version_folder() -> str:
    """Return the name of the folder that stands for the content of all static files."""
    tags = "".join(f"{name}{file.tag}" for name, file in sorted(_files().items()))
    return f"{_VERSION_PREFIX}{hashlib.sha256(tags.encode()).hexdigest()[:16]}"


@cache
def _files() -> dict[str, _StaticFile]:
    return _read_folder(files("backstay.server.web") / "static", "")


def _read_folder(folder: Traversable, prefix: str) -> dict[str, _StaticFile]:
    static_files: dict[str, _StaticFile] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            static_files |= _read_folder(entry, f"{prefix}{entry.name}/")
        elif (media_type := _MEDIA_TYPES.get(entry.name.rpartition(".")[2])) is not None:
            content = entry.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            static_files[prefix + entry.name] = _StaticFile(content, media_type, tag)
    return static_files
