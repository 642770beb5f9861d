"""Prompt templates: sandboxed Jinja2 with bounded rendering.

Jinja's sandbox blocks access to Python's internals but does not limit time or memory. Therefore each loop iteration,
call, filter and comparison costs a step here, and more steps for large values, which bounds everything that one
rendering creates. Operations that turn a small text into a huge one are removed, or measured in advance. Nothing is
computed while a template is compiled.
"""

import functools
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from backstay.errors import RecipeError, UnknownVariable

_MAX_STEPS = 20_000
_CHARACTERS_PER_STEP = 1_000  # a value costs one more step per so many characters
_ENTRY_CHARACTERS = 20  # charged per list entry
_MAX_TEXT_CHARACTERS = 2_000_000  # of one prompt, and of any value in it
_MAX_MARKUP_CHARACTERS = 100_000  # for filters whose time grows with the square of their input
_MAX_DIGITS = 30
_REMOVED_FILTERS = ("batch", "center", "format", "indent", "pprint", "random", "slice", "urlize", "wordwrap", "xmlattr")
# Only these methods may be called. Those that create a large value from a small one are measured.
_TEXT_METHODS = """
capitalize casefold count endswith find index isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric
isprintable isspace istitle isupper join lower lstrip partition removeprefix removesuffix replace rfind rindex
rpartition rsplit rstrip split splitlines startswith strip swapcase title upper
"""
_METHODS: Mapping[type, Collection[str]] = {
    str: frozenset(_TEXT_METHODS.split()),
    Mapping: ("get", "items", "keys", "values"),
    list: ("count", "index"),
    tuple: ("count", "index"),
    float: ("is_integer",),
    int: (),
    bytes: (),
}

_USES_OF_OTHERS = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)

# A column's name that is no variable, printed as if it were one. A text with an operator at its end is not a name.
_PRINTED = re.compile(r"""\{\{-?\s*(?P<text>\w(?:[^{}\[\]()"'|]{0,100}[^{}\[\]()"'|\s+\-*/~,.:=<>])?)\s*-?\}\}""")
_NOT_VARIABLES = frozenset(("true", "false", "none", "True", "False", "None", "not", "self"))
"""Names that are no variables, although they look like one."""

_steps: ContextVar[int] = ContextVar("steps")


class AbsentValue(StrictUndefined):
    """A missing optional value, which is false in `{% if persona %}` and an error when printed."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]  # the only difference from StrictUndefined
        return False


class Template:
    """A compiled template. Rendering depends only on the passed values."""

    def __init__(self, source: str, label: str) -> None:
        """Compile a template; `label` names it in errors.

        Raises:
            RecipeError: the syntax is invalid; the message says where.
        """
        self._label = label
        try:
            self._template = _compile(source)
        except TemplateSyntaxError as error:
            message = f"{label}, line {error.lineno}: {_one_line(error.message)}{_column_hint(source, error.lineno)}"
            raise RecipeError(message, template=label) from error
        except (RecursionError, MemoryError, OverflowError) as error:
            raise RecipeError(f"{label} is nested too deeply", template=label) from error

    def render(self, values: Mapping[str, Any], where: str) -> str:
        """Render the text for one item, whose position is `where`.

        Raises:
            UnknownVariable: the template uses a variable that the item does not have.
            RecipeError: the template cannot be rendered for another reason.
        """
        token = _steps.set(0)
        try:
            pieces: list[str] = []
            length = 0
            for piece in self._template.generate(values):
                length += len(piece)
                if length > _MAX_TEXT_CHARACTERS:
                    raise SecurityError(f"its text is longer than {_MAX_TEXT_CHARACTERS:,} characters")
                pieces.append(piece)
            return "".join(pieces)
        except UndefinedError as error:
            available = ", ".join(
                _reference(name) for name, value in values.items() if not isinstance(value, AbsentValue)
            )
            raise UnknownVariable(
                f"{where}: {self._label} uses a missing value: {_one_line(error.message)}; there are: {available}",
                where=where,
                field=self._label,
            ) from error
        except SecurityError as error:
            raise RecipeError(f"{where}: {self._label} is not allowed: {_one_line(str(error))}") from error
        except TemplateError as error:
            raise RecipeError(f"{where}: {self._label} cannot be rendered: {_one_line(str(error))}") from error
        except RecursionError as error:
            raise RecipeError(f"{where}: {self._label} calls itself too often") from error
        except Exception as error:
            # An expression can raise any error. Its message may quote the item, so it is omitted.
            line = f", line {number}" if (number := _line_of(error)) else ""
            raise RecipeError(f"{where}: {self._label}{line} cannot be rendered: {_reason_of(error)}") from error
        finally:
            _steps.reset(token)


def _compile(source: str) -> Any:
    parsed = _ENVIRONMENT.parse(source)
    if other := next(parsed.find_all(_USES_OF_OTHERS), None):
        raise TemplateSyntaxError("a template cannot use another one", other.lineno)
    tree = _MeasuringTransformer().visit(parsed)
    code = _ENVIRONMENT.compile(tree)
    return _ENVIRONMENT.template_class.from_code(_ENVIRONMENT, code, dict(_ENVIRONMENT.globals))


class _MeasuringTransformer(NodeTransformer):
    """A transformer that counts loops, and measures values that are made without a call of the environment."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        literal = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        self.generic_visit(node)
        steps = nodes.Const(1 + literal // _CHARACTERS_PER_STEP, lineno=node.lineno)
        node.iter = _apply_filter(node.iter, "counted", steps)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _apply_filter(node.expr)
        for operand in node.ops:
            operand.expr = _apply_filter(operand.expr)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [_apply_filter(operand) for operand in node.nodes]
        return _apply_filter(node)

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:
        self.generic_visit(node)
        node.filter = nodes.Filter(node.filter, "measured", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _apply_filter(node) if isinstance(node.arg, nodes.Slice) else node

    def visit_List(self, node: nodes.Expr) -> nodes.Node:
        self.generic_visit(node)
        is_value = getattr(node, "ctx", "load") == "load"  # and not the target of an assignment
        return _apply_filter(node) if is_value else node

    visit_Dict = visit_Tuple = visit_List


def _apply_filter(node: Any, name: str = "measured", *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _spend(steps: int = 1) -> None:
    total = _steps.get(0) + steps
    if total > _MAX_STEPS:
        raise SecurityError(f"it takes more than {_MAX_STEPS:,} steps")
    _steps.set(total)


def _count_steps(values: Iterable[Any], steps: int) -> Iterator[Any]:
    for value in values:
        _spend(steps)
        yield value


def _measure(*values: Any) -> Any:
    """Spend steps for the size of the values, and return the first of them."""
    size, pending = 0, list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, str | bytes):
            size += len(value)
        elif isinstance(value, list | tuple | set | frozenset):
            size += _ENTRY_CHARACTERS * len(value)
            pending.extend(value)
        elif isinstance(value, Mapping) and not isinstance(value, Context):
            size += 2 * _ENTRY_CHARACTERS * len(value)
            pending.extend(value.keys())
            pending.extend(value.values())
        elif isinstance(value, Namespace):
            pending.append(object.__getattribute__(value, "_Namespace__attrs"))
        size += 1
        if size > _MAX_TEXT_CHARACTERS:
            raise SecurityError(f"a value is larger than {_MAX_TEXT_CHARACTERS:,} characters")
    _spend(1 + size // _CHARACTERS_PER_STEP)
    return values[0] if values else None


@pass_context  # prevents evaluation when the template is compiled
def _measure_printed(_: Context, value: Any) -> Any:
    return _measure(value)


def _measure_calls(function: Callable[..., Any], before: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return a filter or test that measures its arguments and its result."""

    @functools.wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _measure(*args, *kwargs.values())
        if before is not None:
            args = before(*args, **kwargs)
        return _measure(function(*args, **kwargs))

    return bounded


def _check_length(length: int) -> None:
    if length > _MAX_TEXT_CHARACTERS:
        raise SecurityError(f"a text is longer than {_MAX_TEXT_CHARACTERS:,} characters")


def _before_replace(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
    _, text, old, new = (*args, *(kwargs.get(name, "") for name in ("old", "new")[len(args) - 2 :]))[:4]
    _check_length(len(str(text)) + str(text).count(str(old)) * len(str(new)))
    return args


def _before_join(context: Any, values: Iterable[Any], *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    texts = list(values)
    _measure(texts)
    _check_length(len(texts) * max(0, *(len(str(text)) for text in (*args, *kwargs.values())), 0))
    return context, texts, *args


def _before_formatting(values: int, /, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Check the numbers of digits and spaces: all arguments after the first `values`."""
    for number in (*args[values:], *kwargs.values()):
        if isinstance(number, int) and abs(number) > _MAX_DIGITS:
            raise SecurityError(f"it asks for more than {_MAX_DIGITS} digits or spaces")
    return args


def _before_sum(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
    if not all(isinstance(start, int | float | str | None) for start in (*args[2:], *kwargs.values())):
        raise SecurityError("it adds up values that are not numbers")
    return args


def _before_markup(*args: Any, **_: Any) -> tuple[Any, ...]:
    if any(isinstance(text, str) and len(text) > _MAX_MARKUP_CHARACTERS for text in args):
        raise SecurityError(f"it takes markup of at most {_MAX_MARKUP_CHARACTERS:,} characters")
    return args


_BEFORE: Mapping[str, Callable[..., Any]] = {
    "replace": _before_replace,
    "join": _before_join,
    "round": functools.partial(_before_formatting, 1),
    "tojson": functools.partial(_before_formatting, 2),
    "sum": _before_sum,
    "striptags": _before_markup,
}
_MEASURED_METHODS = frozenset({"replace", "join"})


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def call(self, context: Context, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        owner = getattr(function, "__self__", None)
        _measure(owner, *args, *kwargs.values())
        if isinstance(owner, str) and (name := getattr(function, "__name__", "")) in _MEASURED_METHODS:
            # Checked like the filters of the same names, which get a context first.
            args = _BEFORE[name](None, *((owner, *args) if name == "replace" else (*args, owner)), **kwargs)
            args = args[2:] if name == "replace" else args[1:2]
        return _measure(super().call(context, function, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "+":
            _measure(left, right)
            return super().call_binop(context, operator, left, right)
        if operator == "**":
            raise SecurityError("it may not use **")
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if not numbers or max(abs(left), abs(right)) > 1e15:
            raise SecurityError(f"it may use {operator} with small numbers only")
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, value: Any) -> None:
        """Leave `format` to `is_safe_attribute`, because the sandbox would allow it with any width."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        methods = next((names for kind, names in _METHODS.items() if isinstance(obj, kind)), None)
        if methods is not None and attr not in methods:
            return False
        return super().is_safe_attribute(obj, attr, value)


def _line_of(error: BaseException) -> int | None:
    """Return the line of the template that raised an error."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _reason_of(error: Exception) -> str:
    match error:
        case ZeroDivisionError():
            return "it divides by zero"
        case OverflowError() | MemoryError():
            return "a number is too large"
        case TypeError() | ValueError() | AttributeError():
            return "a value has the wrong type"
        case _:
            return "an expression fails"


def _column_hint(source: str, line: int) -> str:
    """Return a hint if the line of a syntax error prints a column whose name is no variable, or else no text."""
    for printed in _PRINTED.finditer(source):
        first = 1 + source.count("\n", 0, printed.start())
        if first <= line <= first + printed.group().count("\n") and not _is_expression(printed["text"]):
            return f"; if {printed['text']!r} is a column, write {_reference(' '.join(printed['text'].split()))}"
    return ""


def _is_expression(text: str) -> bool:
    try:
        _ENVIRONMENT.parse("{{ " + text + " }}")
    except TemplateSyntaxError:
        return False
    return True


def _reference(column: str) -> str:
    """Return the expression for a column: a variable if its name can be one."""
    if column.isidentifier() and column not in _NOT_VARIABLES:
        return column
    return f"parameters[{json.dumps(column, ensure_ascii=False)}]"


def _one_line(text: str | None) -> str:
    # Jinja's messages name variables of the recipe; a longer text may come from an item.
    line = " ".join((text or "").split())
    return line if len(line) <= 160 else f"{line[:159]}…"


_ENVIRONMENT = _Environment(
    undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False, optimized=False, finalize=_measure_printed
)
for _name in _REMOVED_FILTERS:
    _ENVIRONMENT.filters.pop(_name, None)
for _functions in (_ENVIRONMENT.filters, _ENVIRONMENT.tests):
    for _name, _function in dict(_functions).items():
        _functions[_name] = _measure_calls(_function, _BEFORE.get(_name))
_ENVIRONMENT.filters |= {"counted": _count_steps, "measured": _measure}
_ENVIRONMENT.globals = {"range": _ENVIRONMENT.globals["range"], "namespace": _ENVIRONMENT.globals["namespace"]}
