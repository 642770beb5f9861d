"""Packages that only a part of Backstay needs, and what to say where they are not installed."""


def packages_missing(part: str, extra: str) -> str:
    """Return that a part lacks the packages of an extra, and how they are installed."""
    return f"{part} needs packages that are not installed; add them with {installation(extra)}"


def installation(extra: str) -> str:
    """Return the command that installs the packages of an extra, in the versions that Backstay takes."""
    return f"`pip install '.[{extra}]'` in a checkout of Backstay"
