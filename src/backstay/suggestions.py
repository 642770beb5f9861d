"""The known name that is nearest to an unknown one."""

from collections.abc import Iterable


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the nearest known name, ignoring case; None if none is near."""
    import difflib  # loaded late: only needed for errors

    by_key = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), by_key, n=1, cutoff=0.7)
    # Two swapped letters change a short name too much for the cutoff.
    matches = matches or [key for key in by_key if sorted(key) == sorted(name.lower())]
    return by_key[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the nearest known name; an empty text if none is near."""
    nearest = nearest_name(name, known)
    return f"; did you mean {nearest}?" if nearest is not None else ""
