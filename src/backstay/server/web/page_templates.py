"""Templates of pages. All values are escaped, and a strict content security policy is the second defence."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from backstay import limits
from backstay.clock import SystemClock, from_text
from backstay.library.difference import abridge, is_changed
from backstay.library.display import format_part, format_value, indent_json, name_of_tool, other_fields, shown_parts
from backstay.library.id_text import printed_id
from backstay.library.turn import part_type
from backstay.server.request_paths import path_of
from backstay.server.state import state_of
from backstay.server.web.static_files import version_folder

_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    # With `no-referrer`, browsers send forms with `Origin: null`, which this server refuses.
    "Referrer-Policy": "same-origin",
}
SECTIONS = ("batches", "conversations", "backups")
_TIME_UNITS = ((60, "minute", 60), (3_600, "hour", 24), (86_400, "day", math.inf))
"""Seconds of each unit, its name, and how many make the next one."""
_ROW_CHARACTERS, _MAX_ROWS = 80, 30
_SIZE_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def render_page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page.

    In templates, `root` is the prefix of all addresses, `static` that of scripts and styles, `section` the page's first
    segment after `root`, `session_ends_at` the end of a signed-in user's session, and `sign_in_url` where users of an
    app sign in.
    """
    state = state_of(request)
    ends_at = getattr(getattr(request.state, "identity", None), "ends_at", None)
    root = request.scope.get("root_path", "")
    page = _templates.get_template(template).render(
        root=root,
        static=f"{root}/static/{version_folder()}",
        section=section_of(request),
        is_local=state.local is not None,
        session_ends_at=datetime.fromtimestamp(ends_at, UTC) if ends_at is not None else None,
        sign_in_url=_sign_in_url(request, state.settings.sign_in_url),
        **values,
    )
    return HTMLResponse(page, status, dict(_HEADERS))


def _sign_in_url(request: Request, url: str | None) -> str | None:
    """Return the address for signing in, with the page to return to as `next`."""
    if url is None or request.method != "GET" or section_of(request) not in SECTIONS:
        return url
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'next': path_of(request.scope) + query})}"


def section_of(request: Request) -> str:
    """Return the first segment of a request's path: one of `SECTIONS`, `api`, or any other."""
    return path_of(request.scope).strip("/").partition("/")[0]


def format_count(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 item`, `1,200 items`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def format_moment(moment: datetime | str | None) -> str:
    """Return a moment for people."""
    return f"{_to_utc(moment):%-d %b %Y, %H:%M} UTC" if moment is not None else "–"


def format_iso(moment: datetime | str) -> str:
    """Return a moment in ISO 8601."""
    return _to_utc(moment).isoformat()


def format_distance(moment: datetime | str, now: datetime | None = None) -> str:
    """Return the distance of a moment from now: `in 6 days`, `3 minutes ago`."""
    seconds = (_to_utc(moment) - (now or SystemClock().now())).total_seconds()
    if abs(seconds) < 60:
        return "in less than a minute" if seconds > 0 else "just now"
    counts = ((round(abs(seconds) / size), name, limit) for size, name, limit in _TIME_UNITS)
    span = next(format_count(count, name) for count, name, limit in counts if count < limit)
    return f"in {span}" if seconds > 0 else f"{span} ago"


def format_size(number: int) -> str:
    """Return a number of bytes for people."""
    value, unit = float(number), 0
    while value >= 999.95 and unit < len(_SIZE_UNITS) - 1:
        value, unit = value / 1_000, unit + 1
    return format_count(number, "byte") if not unit else f"{value:.1f} {_SIZE_UNITS[unit]}"


def text_rows(text: str) -> int:
    """Return how many rows a field for a text has."""
    lines = sum(1 + len(line) // _ROW_CHARACTERS for line in text.split("\n"))
    return min(max(lines, 2), _MAX_ROWS)


def format_state(state: str) -> str:
    """Return a state for people: `completed with failures`."""
    return state.replace("_", " ")


def _to_utc(moment: datetime | str) -> datetime:
    return (from_text(moment) if isinstance(moment, str) else moment).astimezone(UTC)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("backstay.server.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": format_moment,
        "iso": format_iso,
        "distance": format_distance,
        "size": format_size,
        "state": format_state,
        "printed_id": printed_id,
        "indent_json": indent_json,
        "json": format_value,
        "part": format_part,
        "part_type": part_type,
        "shown_parts": shown_parts,
        "tool_name": name_of_tool,
        "kept_fields": lambda turn: ", ".join(other_fields(turn)),
        "text_rows": text_rows,
        "abridged": abridge,
        "is_changed": is_changed,
    }
    environment.globals |= {"count": format_count, "limits": limits, "sections": SECTIONS}
    return environment


_templates = _environment()
