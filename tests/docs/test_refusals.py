"""The reference of error responses matches the rules."""

import runpy
from pathlib import Path

from backstay.generate.error_messages import MESSAGES
from backstay.generate.error_rules import RULES

_ROOT = Path(__file__).parents[2]


def test_the_tables_are_up_to_date():
    """The reference contains the tables that the script generates from the rules."""
    script = runpy.run_path(str(_ROOT / "scripts" / "refusals.py"))
    text = script["PAGE"].read_text()

    assert script["page"](text) == text, "run: python scripts/refusals.py"
    assert text.count("\n| ") > len(RULES)


def test_every_code_of_a_refusal_is_explained():
    """The reference of errors lists every code of an error response, and each code has a message."""
    errors = (_ROOT / "docs" / "reference" / "errors.md").read_text()

    for rule in RULES:
        assert f"`{rule.code}`" in errors or rule.code.startswith("http_"), rule.code
        assert (rule.message or rule.code) in MESSAGES
    for code in ("no_key", "html_answer", "broken_json", "unreachable"):
        assert f"`{code}`" in errors, code
