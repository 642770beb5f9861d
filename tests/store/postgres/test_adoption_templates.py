"""The SQL templates of an adoption: readable one by one, and safe for any name."""

from importlib.resources import files

import pytest
from jinja2 import UndefinedError

from backstay.storage.postgres import adoption
from backstay.storage.postgres.adoption.templates import dollar_quoted, render

_SQL = files(adoption) / "sql"
_TEMPLATES = sorted(path for folder in _SQL.iterdir() if folder.is_dir() for path in folder.iterdir())


@pytest.mark.parametrize("template", _TEMPLATES, ids=lambda template: template.name)
def test_every_template_begins_with_its_purpose(template):
    """The first line of each template is a comment that says what the SQL is for."""
    first = template.read_text(encoding="utf-8").splitlines()[0]

    assert first.startswith("-- ")
    assert first[3].isupper()


def test_names_and_texts_are_quoted():
    """Quotes in names of user tables, and dollar quotes in defaults, do not end what they stand in."""
    counted = render("record/count_missing", schema="backstay", table=('a"b', "Table"), id="it's")
    generated = render("new_id", schema="backstay", id_default="'$backstay$'")

    assert '"a""b"."Table"' in counted
    assert 'app."it\'s"' in counted
    assert generated.endswith("AS $backstay_$SELECT ('$backstay$')::text$backstay_$;\n")
    assert dollar_quoted("$backstay$ $backstay_$").startswith("$backstay__$")
    assert dollar_quoted("ends with $backstay") == "$backstay_$ends with $backstay$backstay_$"


def test_a_missing_value_is_refused():
    """A template that misses a value renders nothing, rather than SQL with a gap."""
    with pytest.raises(UndefinedError):
        render("side_tables/adopted_id", schema="backstay")
