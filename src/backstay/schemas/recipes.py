"""Starter files, previews and probes, which precede a run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Self

from pydantic import AliasPath, Field

from backstay.schemas.base import ApiObject

if TYPE_CHECKING:
    from backstay.generate.endpoint import Endpoint
    from backstay.generate.probe import ProbeReport
    from backstay.generate.prompt_preview import RecipePreview


class InitOut(ApiObject):
    files: list[str]


class PromptOut(ApiObject):
    """The prompt of one item; `tokensIn` is an estimate."""

    id: str = Field(validation_alias="item_id")
    system: str | None = Field(validation_alias=AliasPath("prompt", "system"))
    user: str = Field(validation_alias=AliasPath("prompt", "user"))
    tokens_in: int


class EndpointOut(ApiObject):
    """The endpoint of a model, and the environment variable of its API key."""

    provider: str
    url: str
    address_variable: str | None
    """Environment variable that sets the address, if one does."""
    key_variable: str
    key_is_set: bool
    key_header: str | None

    @classmethod
    def from_endpoint(cls, endpoint: "Endpoint", environ: Mapping[str, str]) -> Self:
        return cls(
            provider=endpoint.provider.name,
            url=endpoint.url,
            address_variable=endpoint.variable,
            key_variable=endpoint.key_variable,
            key_is_set=bool(environ.get(endpoint.key_variable, "").strip()),
            key_header=endpoint.key_header,
        )


class PreviewOut(ApiObject):
    """A preview of a run: the endpoint, the first prompts, and estimates for all items."""

    endpoint: EndpointOut
    prompts: list[PromptOut]
    items: int
    tokens_in: int
    tokens_out: int

    @classmethod
    def from_preview(cls, preview: "RecipePreview", endpoint: "Endpoint", environ: Mapping[str, str]) -> Self:
        return cls(
            endpoint=EndpointOut.from_endpoint(endpoint, environ),
            prompts=[PromptOut.model_validate(sample) for sample in preview.samples],
            items=preview.items,
            tokens_in=preview.tokens_in,
            tokens_out=preview.tokens_out,
        )


class ProbeOut(ApiObject):
    """The capabilities of an endpoint, the cost of probing it, and the resulting lines of a recipe."""

    endpoint: EndpointOut
    calls: int
    answered: int
    structure: str | None
    rejected: list[str]
    stream: bool
    renamed: dict[str, str]
    omitted: list[str]
    end: str | None
    is_end_known: bool
    thinking: list[str]
    reports_usage: bool
    tokens_in: int
    tokens_out: int
    limits: dict[str, str]
    problem: str | None
    problem_code: str | None
    excerpt: str | None
    """The beginning of the reply, if it was not a conversation."""
    recipe: list[str]

    @classmethod
    def from_report(
        cls, report: "ProbeReport", lines: Sequence[str], endpoint: "Endpoint", environ: Mapping[str, str]
    ) -> Self:
        out = EndpointOut.from_endpoint(endpoint, environ)
        return cls.model_validate({**asdict(report), "endpoint": out, "recipe": list(lines)})
