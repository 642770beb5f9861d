"""What is there before a run: the files to begin with, and what would be sent."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from backstay.schemas.base import ApiObject

if TYPE_CHECKING:
    from backstay.generate.endpoint import Endpoint
    from backstay.generate.preview import RecipePreview
    from backstay.generate.probe import ProbeReport


class InitOut(ApiObject):
    files: list[str]


class PromptOut(ApiObject):
    """The prompt of one item; `tokens_in` is an estimate."""

    id: str
    system: str | None
    user: str
    tokens_in: int


class EndpointOut(ApiObject):
    """Where a model is asked, and the environment variable of its key."""

    provider: str
    url: str
    address_variable: str | None
    """Environment variable that names the address, where one does."""
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
    """What a run would send and where: the first prompts, and estimates for all items."""

    endpoint: EndpointOut
    prompts: list[PromptOut]
    items: int
    tokens_in: int
    tokens_out: int

    @classmethod
    def from_preview(cls, seen: "RecipePreview", endpoint: "Endpoint", environ: Mapping[str, str]) -> Self:
        return cls(
            endpoint=EndpointOut.from_endpoint(endpoint, environ),
            prompts=[
                PromptOut(
                    id=sample.item_id,
                    system=sample.prompt.system,
                    user=sample.prompt.user,
                    tokens_in=sample.tokens_in,
                )
                for sample in seen.samples
            ],
            items=seen.items,
            tokens_in=seen.tokens_in,
            tokens_out=seen.tokens_out,
        )


class ProbeOut(ApiObject):
    """What an endpoint can do, what it took to find out, and the lines of a recipe that follow."""

    endpoint: EndpointOut
    calls: int
    answered: int
    structure: str | None
    refused: list[str]
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
    said: str | None
    """The beginning of what came in place of a conversation."""
    recipe: list[str]

    @classmethod
    def from_report(
        cls, report: "ProbeReport", lines: Sequence[str], endpoint: "Endpoint", environ: Mapping[str, str]
    ) -> Self:
        return cls(
            endpoint=EndpointOut.from_endpoint(endpoint, environ),
            calls=report.calls,
            answered=report.answered,
            structure=report.structure,
            refused=report.rejected,
            stream=report.stream,
            renamed=report.renamed,
            omitted=report.omitted,
            end=report.end,
            is_end_known=report.is_end_known,
            thinking=report.thinking,
            reports_usage=report.reports_usage,
            tokens_in=report.tokens_in,
            tokens_out=report.tokens_out,
            limits=report.limits,
            problem=report.problem,
            problem_code=report.problem_code,
            said=report.excerpt,
            recipe=list(lines),
        )
