"""ShareGPT, with the function calls of LLaMA-Factory."""

from backstay.library.imports.shape import TurnListShape


class ShareGPTShape(TurnListShape):
    """A list of turns with `from` and `value`."""

    label = "conversations with from and value (ShareGPT)"
    speaker_key = "from"
    content_keys = ("value", "content", "text")
