"""Content parts as blocks of Anthropic's API."""

import re
from collections.abc import Mapping
from typing import Any

_WITH_SOURCE = frozenset(("image", "document"))
_BLOCK_TYPES = re.compile(
    r"text|thinking|redacted_thinking|search_result|tool_use|server_tool_use|container_upload|\w+_tool_result"
)
_TEXTS = {"input_text": "text", "output_text": "text", "refusal": "refusal"}
_DATA_URL = re.compile(r"data:([\w/+.-]+);base64,(.*)", re.DOTALL)


def is_anthropic_part(part: Any) -> bool:
    """Return whether a content part is one that only Anthropic's API has."""
    match part:
        case {"type": str(kind), "source": dict()} if kind in _WITH_SOURCE:
            return True
        case {"type": str(kind)}:
            return kind != "text" and _BLOCK_TYPES.fullmatch(kind) is not None
    return False


def to_block(part: Any) -> Mapping[str, Any] | None:
    """Return a content part as a block; None if the API has no block for it."""
    block: Mapping[str, Any] = part
    match part:
        case str():
            return {"type": "text", "text": part}
        case {"type": str(kind), "source": dict()} if kind in _WITH_SOURCE:
            return block
        case {"type": str(kind)} if _BLOCK_TYPES.fullmatch(kind):
            return block
        case {"type": str(kind)} if kind in _TEXTS and isinstance(part.get(_TEXTS[kind]), str):
            return {"type": "text", "text": part[_TEXTS[kind]]}
        case {"type": "image_url", "image_url": {"url": str(url), **more}} if not more and len(part) == 2:
            return {"type": "image", "source": _image_source(url)}
    return None


def to_bare_image(part: Any) -> Mapping[str, Any] | None:
    """Return an image of OpenAI's API with only its URL, without keys such as `detail`; None for any other part."""
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return {"type": "image_url", "image_url": {"url": url}}
    return None


def _image_source(url: str) -> Mapping[str, str]:
    if data := _DATA_URL.fullmatch(url):
        return {"type": "base64", "media_type": data[1], "data": data[2]}
    return {"type": "url", "url": url}
