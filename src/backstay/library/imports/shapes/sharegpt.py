"""ShareGPT, with the function calls of LLaMA-Factory."""

from backstay.library.imports.shape import TurnListShape


class ShareGPTShape(TurnListShape):
    """A list of turns with `from` and `value`."""

    speaker_key = "from"
    content_keys = ("value", "content", "text")
