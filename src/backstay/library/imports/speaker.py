"""The names of speakers in files, and their roles."""

from collections.abc import Mapping

ROLES: Mapping[str, str] = {
    name: role
    for role, names in {
        "user": "user human prompter",
        "assistant": "assistant gpt chatgpt bing bard claude gemini model bot chatbot ai agent",
        "system": "system",
        "developer": "developer",
        "tool": "tool function observation environment ipython tool_response tool_result function_response",
    }.items()
    for name in names.split()
}
"""The role of each known speaker; names are compared without regard to case and surrounding space."""

CALLERS = frozenset(("function_call", "tool_call", "tool_calls"))
"""Speakers whose text is a tool call of the assistant."""

_MAX_QUOTED = 40


def role_of(speaker: object) -> str | None:
    """Return the role of a speaker; None if it is not known."""
    name = speaker.strip().lower() if isinstance(speaker, str) else ""
    return "assistant" if name in CALLERS else ROLES.get(name)


def is_caller(speaker: object) -> bool:
    """Return whether the text of this speaker is a tool call."""
    return isinstance(speaker, str) and speaker.strip().lower() in CALLERS


def quoted_speaker(speaker: str) -> str:
    """Return the start of a speaker's name for an error, since a name may be any text of the file."""
    return repr(speaker[:_MAX_QUOTED])
