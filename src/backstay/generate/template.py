"""Templates of prompts: Jinja2, sandboxed, and bounded in what one rendering may do.

The sandbox keeps a template from Python's internals. It does not keep one from running for ever, so every turn of a
loop and every call is counted here, and what makes a huge text out of a small one is left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from backstay.errors import RecipeError, UnknownVariable

_MOST_STEPS = 20_000
_LONGEST_TEXT = 2_000_000  # characters of one prompt
_NOT_FILTERS = ("batch", "center", "format", "indent", "pprint", "random", "slice", "urlize", "wordwrap", "xmlattr")
_NOT_METHODS = frozenset({"center", "expandtabs", "format", "format_map", "ljust", "rjust", "zfill"})

_steps: ContextVar[int] = ContextVar("steps")


class Absent(StrictUndefined):
    """A value that an item may have or not: `{% if persona %}` is false without one, printing it is an error."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]  # the one thing in which it is less strict
        return False


class Template:
    """One template. Rendering depends on nothing but what is given."""

    def __init__(self, source: str, what: str) -> None:
        """Compile it; `what` names it in errors.

        Raises:
            RecipeError: it is no template; the message says where.
        """
        self._what = what
        try:
            self._template = _compiled(source)
        except TemplateSyntaxError as error:
            raise RecipeError(f"{what}, line {error.lineno}: {_one_line(error.message)}", template=what) from error
        except (RecursionError, MemoryError, OverflowError) as error:
            raise RecipeError(f"{what} is nested too deeply", template=what) from error

    def render(self, values: Mapping[str, Any], where: str) -> str:
        """Return the text for one item, which stands at `where`.

        Raises:
            UnknownVariable: it uses what the item does not have.
            RecipeError: it cannot be rendered for another reason.
        """
        token = _steps.set(0)
        try:
            pieces: list[str] = []
            length = 0
            for piece in self._template.generate(values):
                length += len(piece)
                if length > _LONGEST_TEXT:
                    raise SecurityError(f"its text is longer than {_LONGEST_TEXT:,} characters")
                pieces.append(piece)
            return "".join(pieces)
        except UndefinedError as error:
            known = ", ".join(name for name, value in values.items() if not isinstance(value, Absent))
            raise UnknownVariable(
                f"{where}: {self._what} needs what is not there: {_one_line(error.message)}; there are: {known}",
                where=where,
                field=self._what,
            ) from error
        except SecurityError as error:
            raise RecipeError(f"{where}: {self._what} does what a template may not: {_one_line(str(error))}") from error
        except TemplateError as error:
            raise RecipeError(f"{where}: {self._what} cannot be rendered: {_one_line(str(error))}") from error
        except RecursionError as error:
            raise RecipeError(f"{where}: {self._what} calls itself too often") from error
        except Exception as error:
            # Whatever an expression can raise, such as a division by zero. Its text may quote the item: it stays out.
            raise RecipeError(f"{where}: {self._what} cannot be rendered ({type(error).__name__})") from error
        finally:
            _steps.reset(token)


def _compiled(source: str) -> Any:
    tree = _ENVIRONMENT.parse(source)
    for loop in list(tree.find_all(nodes.For)):
        loop.iter = nodes.Filter(loop.iter, "counted", [], [], None, None, lineno=loop.lineno)
    code = _ENVIRONMENT.compile(tree)
    return _ENVIRONMENT.template_class.from_code(_ENVIRONMENT, code, dict(_ENVIRONMENT.globals))


def _step() -> None:
    taken = _steps.get(0) + 1
    if taken > _MOST_STEPS:
        raise SecurityError(f"it takes more than {_MOST_STEPS:,} steps")
    _steps.set(taken)


def _counted(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _step()
        yield value


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%", "<<"})

    def call(self, context: Context, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        _step()
        return super().call(context, function, *given, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if not numbers or operator == "**" or max(abs(left), abs(right)) > 1e15:
            raise SecurityError(f"it may use {operator} with small numbers only")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr in _NOT_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)


def _one_line(text: str | None) -> str:
    # Names of variables come from the recipe, so they may be quoted; anything longer may be text of an item.
    line = " ".join((text or "").split())
    return line if len(line) <= 160 else f"{line[:159]}…"


_ENVIRONMENT = _Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)
for _name in _NOT_FILTERS:
    _ENVIRONMENT.filters.pop(_name, None)
_ENVIRONMENT.filters["counted"] = _counted
_ENVIRONMENT.globals = {"range": _ENVIRONMENT.globals["range"], "namespace": _ENVIRONMENT.globals["namespace"]}
