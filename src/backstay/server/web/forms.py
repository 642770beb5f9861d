"""Form fields and redirects that the pages share."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Form, Query, Request
from pydantic import AfterValidator, BeforeValidator, Field
from starlette.responses import RedirectResponse

from backstay.limits import MAX_ID, MAX_NAME
from backstay.server.api.common import Text


def _empty_to_none(value: object) -> object:
    # A form sends every field, including empty ones.
    return None if value == "" else value


def _normalize_lines(text: str) -> str:
    return text.replace("\r\n", "\n")


QueryId = Annotated[Text, Query(min_length=1, max_length=MAX_ID, alias="id")]
FormId = Annotated[Text, Form(min_length=1, max_length=MAX_ID, alias="id")]
FormText = Annotated[str, Form(), AfterValidator(_normalize_lines)]
EmptyIsNone = BeforeValidator(_empty_to_none)
# The limit is inside the optional type, because outside it would apply to None as well.
ShortText = Annotated[Annotated[Text, Field(max_length=MAX_NAME)] | None, EmptyIsNone]


def redirect_to(request: Request, page: str, /, **query: str | int | None) -> RedirectResponse:
    """Redirect from a form to a page, so that reloading does not repeat the action."""
    params = {name: value for name, value in query.items() if value is not None}
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}{page}{'?' + urlencode(params) if params else ''}", status_code=303)
