"""SQL of adoption, rendered from the templates in `sql/`: each is one statement, or one function with its triggers."""

from functools import cache
from typing import TYPE_CHECKING, Any

from backstay.storage.postgres.errors import ABSENT, UNLIKE
from backstay.storage.postgres.queries import quoted

if TYPE_CHECKING:
    from jinja2 import Environment


def render(name: str, **values: Any) -> str:
    """Return the SQL of the template `sql/<name>.sql`, without its comments. Names and texts go through its filters."""
    return _environment().get_template(f"{name}.sql").render(values)


def literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def dollar_quoted(body: str) -> str:
    """Return the body of a function in dollar quotes that do not occur in it."""
    tag = "$backstay$"
    while tag in body:
        tag = tag[:-1] + "_$"
    return f"{tag}{body}{tag}"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, "sql"),
        autoescape=False,  # noqa: S701 - it is SQL, where HTML's escapes would be wrong
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        line_comment_prefix="--",  # a comment's wording does not change the digest of the views
    )
    environment.filters |= {"quoted": quoted, "literal": literal, "dollar_quoted": dollar_quoted}
    environment.globals |= {"ABSENT": ABSENT, "UNLIKE": UNLIKE}
    return environment
