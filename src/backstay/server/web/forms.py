"""What the routes of forms share: fields, and where one is led after something was done."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Form, Query, Request
from pydantic import AfterValidator, BeforeValidator, Field
from starlette.responses import RedirectResponse

from backstay.library.id_text import LONGEST_ID
from backstay.server.api.common import Text


def _none_of_empty(given: object) -> object:
    # A form sends every field, those that were left empty too.
    return None if given == "" else given


def _one_line_each(text: str) -> str:
    return text.replace("\r\n", "\n")


Name = Annotated[Text, Query(min_length=1, max_length=LONGEST_ID, alias="id")]
FormName = Annotated[Text, Form(min_length=1, max_length=LONGEST_ID, alias="id")]
FormText = Annotated[str, Form(), AfterValidator(_one_line_each)]
EmptyIsNone = BeforeValidator(_none_of_empty)
# The limit is inside the optional type: outside, it would apply to None as well.
ShortText = Annotated[Annotated[Text, Field(max_length=1_000)] | None, EmptyIsNone]


def redirect_to(request: Request, page: str, **query: str | int | None) -> RedirectResponse:
    """Answer a form by leading to a page, so that loading it again does nothing again."""
    given = {name: value for name, value in query.items() if value is not None}
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}{page}{'?' + urlencode(given) if given else ''}", status_code=303)
