"""The known name that is nearest to an unknown one. Pure."""

from collections.abc import Iterable


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant; None when none is near, whatever the case of its letters."""
    import difflib  # only where something is wrong

    by_key = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), by_key, n=1, cutoff=0.7)
    # In a short name two letters that change places are a large part of it.
    found = found or [key for key in by_key if sorted(key) == sorted(name.lower())]
    return by_key[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the nearest known name, and nothing when none is near."""
    found = nearest_name(name, known)
    return f"; did you mean {found}?" if found is not None else ""
