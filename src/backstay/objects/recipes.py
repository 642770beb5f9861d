"""What is there before a run: the files to begin with, and what would be sent."""

from typing import TYPE_CHECKING, Self

from backstay.objects.base import Object

if TYPE_CHECKING:
    from backstay.generate.preview import Preview


class InitOut(Object):
    files: list[str]


class PromptOut(Object):
    """The prompt of one item; `tokens_in` is an estimate."""

    id: str
    system: str | None
    user: str
    tokens_in: int


class PreviewOut(Object):
    """What a run would send: the first prompts, and estimates for all items."""

    prompts: list[PromptOut]
    items: int
    tokens_in: int
    tokens_out: int

    @classmethod
    def of(cls, seen: "Preview") -> Self:
        return cls(
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
