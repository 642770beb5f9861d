"""Pages made of templates: everything in them is text, and a strict policy holds should anything not be."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from backstay.clock import SystemClock, from_text
from backstay.library.id_text import printed_id

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    # Without the origin of its own page a form would be refused.
    "Referrer-Policy": "same-origin",
}
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
_SIZES = ("bytes", "kB", "MB", "GB", "TB")


def rendered(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page; `root` is what its addresses begin with."""
    made = _templates.get_template(template).render(root=request.scope.get("root_path", ""), **values)
    return HTMLResponse(made, status, dict(HEADERS))


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with what is counted: `1 item`, `1,200 items`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(given: datetime | str | None) -> str:
    """Return a moment as people read it."""
    return f"{_moment(given):%-d %b %Y, %H:%M} UTC" if given is not None else "–"


def iso(given: datetime | str) -> str:
    """Return a moment as machines read it."""
    return _moment(given).isoformat()


def distance(given: datetime | str, now: datetime | None = None) -> str:
    """Return how far a moment is away: `in 6 days`, `3 minutes ago`."""
    seconds = (_moment(given) - (now or SystemClock().now())).total_seconds()
    for size, name in _UNITS:
        if abs(seconds) >= size:
            span = counted(round(abs(seconds) / size), name)
            return f"in {span}" if seconds > 0 else f"{span} ago"
    return "in less than a minute" if seconds > 0 else "just now"


def size(number: int) -> str:
    """Return a number of bytes as people read it."""
    value, unit = float(number), 0
    while value >= 1_000 and unit < len(_SIZES) - 1:
        value, unit = value / 1_000, unit + 1
    return counted(number, "byte") if not unit else f"{value:.1f} {_SIZES[unit]}"


def worded(state: str) -> str:
    """Return a state in words."""
    return state.replace("_", " ")


def _moment(given: datetime | str) -> datetime:
    return (from_text(given) if isinstance(given, str) else given).astimezone(UTC)


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("backstay.server.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"moment": moment, "iso": iso, "distance": distance, "size": size, "worded": worded}
    made.filters |= {"printed_id": printed_id}
    made.globals |= {"counted": counted}
    return made


_templates = _environment()
