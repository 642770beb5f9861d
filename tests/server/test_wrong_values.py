"""Refusals of wrong values use the project's own wording with the limit, never that of the libraries."""

import math
import re
import typing
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.utils import get_flat_params
from pydantic import BaseModel, ValidationError

from backstay import validation_reasons
from backstay.generate.recipe import Recipe
from backstay.server import ServerSettings, create_app, problems
from backstay.settings import Settings
from support.servers.api import ENOUGH, LOCAL, cookied, libraries, serving
from support.servers.route_requests import _all_routes, description

settings = libraries(ENOUGH)

_LIBRARY = re.compile(
    r"\bInput\b|\bValue\b|(String|List|Dictionary|Value|Tuple) should|Field required|Extra inputs|unable to|parse|"
    r"dictionary|instance|valid (integer|string|boolean|number|list)|UploadFile|Assertion|pydantic",
    re.IGNORECASE,
)
_DEEP: Any = "x"
for _ in range(60):
    _DEEP = [_DEEP]
_BAD: list[Any] = [
    None, "", "x", " ", "x" * 20_000, "\0", "\ud800", "2026-13-45", "2026-01-31T00:00:00", "2026-01-31T10:00:00",
    "2026-01-31T25:00:00Z", "2026-01-31T00:00:00+99:99", "9" * 5_000, "1e400", 0, -1, 1.5, 10**30, 1e300, math.inf,
    math.nan, True, False, b"\xff", [], ["x"], [None], [""], ["x" * 600], ["x"] * 10_001, {}, {"x": 1}, {1: 2}, _DEEP,
    [{"x": "\ud800"}],
]  # fmt: skip


def _app() -> FastAPI:
    return create_app(Settings(here=Path("/nowhere")), ServerSettings(), token=LOCAL)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation and in their fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _models(field.annotation)
    for inner in typing.get_args(annotation):
        yield from _models(inner)


def _errors() -> Iterator[tuple[Any, str]]:
    """Yield the library's error and the project's wording for each bad value of each field."""
    of_files = {Settings, ServerSettings, Recipe}
    models: set[type[BaseModel]] = set(of_files)
    for route in _all_routes(_app().router.routes):
        if (dependant := getattr(route, "dependant", None)) is None:
            continue
        fields = get_flat_params(dependant)
        if route.body_field is not None:
            fields.append(route.body_field)
            models |= set(_models(route.body_field.field_info.annotation))
        for field in fields:
            for value in _BAD:
                with suppress(problems.Problem):  # an invalid name in an address is reported as not found
                    _, errors = field.validate(value, {}, loc=("query", field.alias))
                    yield from ((fault, problems._reason(fault)) for fault in errors or ())
    for model in models:
        for name, field in model.model_fields.items():
            for value in _BAD:
                try:
                    model.model_validate({field.alias or name: value, "nope": 1})
                except ValidationError as error:
                    words = validation_reasons.reason_of if model in of_files else problems._reason
                    yield from ((fault, words(fault)) for fault in error.errors(include_url=False))


def test_every_error_of_the_libraries_has_own_wording():
    """No message about a bad value in a request, settings file or recipe uses a library's wording."""
    kinds = set()
    for error, wording in _errors():
        kinds.add(error["type"])
        assert not _LIBRARY.search(wording), (error["type"], error["loc"], wording)
        assert error["type"] in {*validation_reasons.REASONS, "value_error"}, error

    assert {
        "missing",
        "extra_forbidden",
        "too_long",
        "too_short",
        "string_too_long",
        "int_parsing",
        "literal_error",
    } <= kinds
    assert len(kinds) > 20


_IDS = {"conversationIds": ["x"] * 10_001}
_REFUSED = [
    ("GET", "/api/batches?limit=500", None, "limit: it may be 200 at most"),
    ("GET", "/api/batches?limit=0", None, "limit: it must be at least 1"),
    ("GET", "/api/batches?limit=many", None, "limit: it must be a whole number"),
    ("GET", "/api/batches?incomplete=maybe", None, "incomplete: it must be true or false"),
    ("GET", "/api/conversations?search=", None, "search: it must not be empty"),
    ("GET", "/api/conversations?search=" + "x" * 1_001, None, "search: it may have 1,000 characters at most"),
    ("GET", "/api/backup/download/b?format=zip", None, "format: it must be 'json' or 'zst'"),
    ("POST", "/api/backup/create", _IDS, "conversationIds: it may have 10,000 entries at most"),
    ("POST", "/api/backup/create", {"conversationIds": []}, "conversationIds: it must not be empty"),
    ("POST", "/api/backup/create", {"conversationIds": "x"}, "conversationIds: it must be a list"),
    ("POST", "/api/backup/create", {"conversationIds": [1]}, "conversationIds.0: it must be text"),
    ("POST", "/api/backup/create", {}, "body: give conversationIds or selection"),
    ("POST", "/api/batches/j/resume", {"concurency": 1}, "concurency: there is no such field"),
    ("POST", "/api/conversations/export", _IDS, "conversationIds: it may have 10,000 entries at most"),
    ("POST", "/api/conversations/delete-plan", {"selection": _IDS},
     "selection.conversationIds: it may have 10,000 entries at most"),
    ("POST", "/api/conversations/export", [],
     "body: it must be a JSON object, sent with Content-Type: application/json"),
]  # fmt: skip


async def test_the_api_names_the_field_and_its_limit(api):
    """Each refusal is one line that names the field and its limit."""
    for method, path, body, message in _REFUSED:
        answer = await api.ann.request(method, path, json=body)

        assert (answer.status_code, answer.json()["error"]["message"]) == (422, message)
        assert answer.json()["error"]["details"]["fields"][0]["message"] == message.partition(": ")[2]


def test_how_many_ids_a_request_takes_is_described():
    """OpenAPI states the maximum number of ids, and how to select more."""
    described = [
        schema["properties"]["conversationIds"]
        for schema in description()["components"]["schemas"].values()
        if "conversationIds" in schema.get("properties", {})
    ]

    assert len(described) >= 4
    for field in described:
        assert {inner.get("maxItems") for inner in field.get("anyOf", [field])} >= {10_000}
        assert "10,000 at most" in f"{field}"


async def test_pages_name_the_field_and_its_limit(settings):
    """A page refuses a manipulated form with the same wording as the API."""
    async with serving(settings, local=True) as running, cookied(running) as browser:
        answers = [
            await browser.get("/conversations?createdBefore=soon"),
            await browser.post("/batches/act", data={"id": "x", "action": "explode"}),
            await browser.post("/batches/upload", data={"file": "no file"}),
        ]

    for answer, message in zip(
        answers, ("a date such as 2026-01-31", "&#39;pause&#39;", "file: it must be a file"), strict=True
    ):
        assert (answer.status_code, message in answer.text) == (422, True), answer.text
        assert not _LIBRARY.search(answer.text), answer.text
