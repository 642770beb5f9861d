"""Advice about failures and pauses, by error code."""

from pathlib import Path

import pytest

from backstay.generate import failure_advice
from backstay.generate.failure_advice import may_concern_one_item, may_resume, may_try_again

_ERRORS = Path(__file__).parents[3] / "docs" / "reference" / "errors.md"


@pytest.mark.parametrize(
    ("code", "again", "resume", "one_item"),
    [
        ("length", False, False, False),
        ("parameter_refused", False, False, False),
        ("model_retired", False, False, False),
        ("refusal", False, True, True),
        ("content_filter", False, True, True),
        ("context_too_long", False, True, True),
        ("wrong_shape", True, True, True),
        ("request_too_large", True, True, True),
        ("processor_error.ValueError", True, True, True),
        ("server_error", True, True, True),
        ("forbidden", True, True, True),
        ("bad_key", True, True, False),
        ("no_key", True, True, False),
        ("quota_exhausted", True, True, False),
        ("unknown_model", True, True, False),
        ("unreachable", True, True, False),
        ("provider_unavailable", True, True, False),
    ],
)
def test_advice_goes_by_the_code(code, again, resume, one_item):
    """Advice distinguishes the frozen recipe, the item's own text, the whole account, and transient errors."""
    assert (may_try_again(code), may_resume(code), may_concern_one_item(code)) == (again, resume, one_item)


def test_each_code_that_advice_knows_is_in_the_reference():
    """Every code in the advice is documented, and every one can still occur."""
    errors = _ERRORS.read_text()

    for code in (
        failure_advice._RECIPE_CODES
        | failure_advice._TEXT_CODES
        | failure_advice._ACCOUNT_OR_TEXT_CODES
        | failure_advice._ALL_ITEMS_CODES
    ):
        assert f"`{code}`" in errors, code
