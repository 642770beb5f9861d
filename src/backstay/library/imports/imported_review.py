"""The review of an imported row, as exports write it."""

from collections.abc import Mapping
from dataclasses import fields

from backstay.errors import SettingsError
from backstay.library.curation import curation_to_json
from backstay.library.review import Review
from backstay.readers.input_errors import InputErrors
from backstay.readers.row import InputRow

_KEY = "review"
_FIELDS = frozenset(field.name for field in fields(Review))
_ALWAYS = frozenset({"status", "tags", "reviewed_at"})


def take_review(row: InputRow, origin: InputErrors) -> bytes | None:
    """Remove the review from a row, and return it as curation. Anything else under its key becomes metadata.

    Raises InvalidRow if it has the keys of a review and values that no review has.
    """
    value = row.values.get(_KEY)
    if _KEY in row.values and value is None:
        del row.values[_KEY]
    # Parquet's reader leaves out what is null.
    if not isinstance(value, Mapping) or not _ALWAYS <= value.keys() <= _FIELDS:
        return None
    del row.values[_KEY]
    try:
        review = Review.from_dict({**dict.fromkeys(_FIELDS), **value}).check()
    except SettingsError as error:
        raise origin.invalid_row(row.line, f"its review is wrong: {error.message}") from error
    except (TypeError, ValueError) as error:
        raise origin.invalid_row(row.line, "its review is wrong: the status, the tags or the time") from error
    return curation_to_json(review.to_dict(), ())
