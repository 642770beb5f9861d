"""Names of headers and query parameters that indicate a credential."""

import re

_NAME_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORD = re.compile(
    r"auth(?!or(s|ed|ity|ship)?$).*|.*auth|.*(token|secret|password|cookie|credential|signature)|(secret|cookie|credential)s"
    r"|passwords|passwd|passphrase|pwd|creds?|bearer|jwt|pat|sig|sas|key|session|.*sess(ion)?id"
    r"|.*(api|app|user|client|access|account|consumer|function|functions|gateway|license|master|private|project|secret"
    r"|service|session|subscription|team|tenant|virtual|x)key"
)
"""Matches a word of a name that indicates a credential, also as part of a compound such as `apikey`."""
_DESCRIBING_WORDS = frozenset(
    {"affinity", "algorithm", "count", "limit", "limits", "method", "mode", "name", "path", "provider", "region",
     "scheme", "type", "version"}
)  # fmt: skip
"""Last words in the names of fields that describe a credential without being one."""
_HARMLESS_KEYS = frozenset(
    {"idempotency", "cache", "partition", "routing", "shard", "sort", "order", "group", "stop", "foreign", "primary"}
)
"""Words before `key` that make it harmless."""
_SECRET_ALONE = frozenset({"code", "sk", "ak"})
"""Words that indicate a credential only if they are the whole name."""


def is_credential_name(name: str) -> bool:
    """Return whether the name of a header or query parameter indicates a credential."""
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    if not words or words[-1] in _DESCRIBING_WORDS:
        return False
    if words[-1] == "pass" or (len(words) == 1 and words[0] in _SECRET_ALONE):
        return True
    pairs = zip(["", *words], words, strict=False)
    return any(
        _SECRET_WORD.fullmatch(word) and (word != "key" or previous not in _HARMLESS_KEYS) for previous, word in pairs
    )
