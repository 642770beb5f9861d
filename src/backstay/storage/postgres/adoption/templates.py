"""SQL of adoption, rendered from the templates in `sql/`: each is one statement, or one function with its triggers."""

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from backstay.storage.postgres.errors import CONVERSATION_ABSENT, ID_DIFFERS
from backstay.storage.postgres.queries import quoted

if TYPE_CHECKING:
    from jinja2 import Environment

_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)


def render(name: str, **values: Any) -> str:
    """Return the SQL of the template `sql/<name>.sql`, without its comments.

    A template quotes names with the filter `quoted`, and texts with `literal`.
    """
    return _environment().get_template(f"{name}.sql").render(values)


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def dollar_quoted(body: str) -> str:
    """Return the body of a function in dollar quotes that do not occur in it."""
    tag = "$backstay$"
    while tag[:-1] in body:  # the body may also end with the beginning of the tag
        tag = tag[:-1] + "_$"
    return f"{tag}{body}{tag}"


def _source(name: str) -> str:
    """Return a template without its comments, so that a changed comment does not change the digest of the views."""
    return _COMMENT.sub("", (files(__package__) / "sql" / name).read_text(encoding="utf-8"))


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=False,  # noqa: S701 - it is SQL, where HTML's escapes would be wrong
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"quoted": quoted, "literal": literal, "dollar_quoted": dollar_quoted}
    environment.globals |= {"CONVERSATION_ABSENT": CONVERSATION_ABSENT, "ID_DIFFERS": ID_DIFFERS}
    return environment
