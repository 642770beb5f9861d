"""Prompt templates: allowed and blocked operations, and bounds on their work."""

import resource
import time

import pytest

from backstay.batch.item import Item
from backstay.errors import RecipeError, UnknownVariable
from backstay.generate import template
from backstay.generate.prompt import PromptTemplates
from backstay.generate.template import Template


def _render(source: str, **values: object) -> str:
    return Template(source, "the prompt").render(values, "topics.csv line 7")


def _prompt(source: str, item: Item) -> str:
    return (
        PromptTemplates(system=None, user=source, roles={}, turns=2, language=None)
        .render(item, "item 1")
        .user.split("\n\n")[0]
    )


def test_an_item_fills_the_template():
    """Columns are variables, and loops, conditions and filters work."""
    text = _render(
        "{{ topic|upper }}{% for n in range(3) %} {{ loop.index }}{% endfor %}{{ ' x' if a }}", topic="sea", a=1
    )

    assert text == "SEA 1 2 3 x"


def test_an_unknown_variable_names_row_and_variable():
    """The error for an unknown variable is one line with the row, the variable and the known ones."""
    with pytest.raises(UnknownVariable) as raised:
        _render("{{ tone }}", topic="sea", mood="calm")

    assert (
        raised.value.message
        == "topics.csv line 7: the prompt uses a missing value: 'tone' is undefined; there are: topic, mood"
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ persona }}", None),
        ("{% if persona %}as {{ persona }}{% else %}plain{% endif %}", "plain"),
        ("{{ persona or 'anybody' }}", "anybody"),
        ("{{ persona|default('anybody') }}", "anybody"),
    ],
)
def test_a_persona_may_be_missing(source, expected):
    """A condition on a missing persona is false, and printing it is an error."""
    item = Item("sea", "1")

    if expected is None:
        with pytest.raises(UnknownVariable, match="the item has no persona"):
            _prompt(source, item)
    else:
        assert _prompt(source, item) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ Audience Level }}", """if 'Audience Level' is a column, write parameters["Audience Level"]"""),
        ("On {{ topic }}:\n{{-Preis €-}}!", """if 'Preis €' is a column, write parameters["Preis €"]"""),
        ("{{ 1st name }}", """if '1st name' is a column, write parameters["1st name"]"""),
        ("{{ Level? }}{{ topic", """if 'Level?' is a column, write parameters["Level?"]"""),
    ],
)
def test_a_column_whose_name_is_no_variable_is_hinted_at(source, message):
    """The error for a column's name that is no variable says how to write it."""
    with pytest.raises(RecipeError) as raised:
        Template(source, "the prompt")

    assert raised.value.message.startswith(f"the prompt, line {1 + source.count(chr(10))}: ")
    assert raised.value.message.endswith(f"; {message}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ topic + }}",
        "{{ topic",
        "{{ a b\n{% if %}",
        "{% if Audience Level %}{% endif %}",
        "{{ topic }} {% if %}",
        "{{ 'a b' c }}",
    ],
)
def test_other_syntax_errors_have_no_hint(source):
    """A syntax error that is not about a column's name has no hint."""
    with pytest.raises(RecipeError) as raised:
        Template(source, "the prompt")

    assert "is a column" not in raised.value.message


_COLUMNS = (
    "Audience Level",
    "First-Name",
    "1st",
    'a "b" \\ c',
    "é",
    "class",
    "not",
    "none",
    "self",
    "loop",
    "range",
    "prompt",
)


@pytest.mark.parametrize("column", [*_COLUMNS, "topic", "id", "persona"])
def test_an_unknown_variable_lists_columns_as_they_are_written(column):
    """Each column in the error for an unknown variable can be pasted into the template, and yields its value."""
    item = Item("sea", "1", "Ann", {column: "value"})

    with pytest.raises(UnknownVariable) as raised:
        _prompt("{{ nothing }}", item)
    listed = raised.value.message.partition("there are: id, topic, persona, ")[2].removesuffix("parameters").strip(", ")

    assert _prompt("{{ " + (listed or column) + " }}", item) == "value"


def test_a_column_named_parameters_hides_nothing():
    """`parameters` has all columns, even one of its own name; the other columns stay what they are without it."""
    columns = {"topic": "column", "prompt": "p", "loop": "l"}
    source = (
        '{{ topic }} {{ prompt }} {{ loop }} {% for n in [1] %}{{ loop.index }}{{ parameters["loop"] }}{% endfor %}'
    )

    for more in ({}, {"parameters": "own"}):
        item = Item("sea", "1", None, {**columns, **more})
        assert _prompt(source, item) == "column p l 1l"
        assert _prompt("{{ parameters|tojson|length > 2 }}", item) == "True"
    assert _prompt('{{ parameters["parameters"] }}', item) == "own"


def test_columns_with_odd_names_are_reached_through_parameters():
    """A column whose name is not an identifier is available through `parameters`."""
    assert _prompt('{{ parameters["First name"] }}', Item("sea", "1", None, {"First name": "Ada"})) == "Ada"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ topic.__init__.__globals__ }}",
        "{{ ().__class__.__base__.__subclasses__() }}",
        "{{ range.__self__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ lipsum(n=1000) }}",
        "{{ cycler.__init__ }}",
        "{{ things.append(1) }}",
        "{{ things.clear() }}",
        "{{ '{0.__class__}'.format(topic) }}",
        "{{ 'a' * 10**9 }}",
        "{{ 9**9**9 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ topic.center(10**9) }}",
        "{{ topic.ljust(1000000000) }}",
        "{{ [1]|batch(1000000000)|list }}",
    ],
)
def test_a_template_reaches_nothing_but_its_item(source):
    """Access to Python's internals, changes of the item and huge texts are rejected in one line each."""
    things = [0]

    with pytest.raises(RecipeError) as raised:
        _render(source, topic="sea", things=things)

    assert things == [0]
    assert "\n" not in raised.value.message
    assert "the prompt" in raised.value.message


_ENDLESS = (
    "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
    "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
    "{% for a in range(90000) recursive %}{{ loop(range(90000)) }}{% endfor %}",
)


_HUGE = (
    "{{ 'a' ~ 'b' }}{% set t = namespace(x='ab') %}{% for n in range(99) %}{% set t.x = t.x + t.x %}{% endfor %}",
    "{% set t = namespace(x='ab') %}{% for n in range(99) %}{% set t.x = t.x ~ t.x %}{% endfor %}",
    "{% set t = namespace(x='ab') %}{% for n in range(99) %}{% set x %}{{ t.x }}{{ t.x }}{% endset %}"
    "{% set t.x = x %}{% endfor %}",
    "{% set t = namespace(x=[1]) %}{% for n in range(99) %}{% set t.x = [t.x, t.x] %}{% endfor %}{{ t.x }}",
    "{% set t = namespace(x=(1,)) %}{% for n in range(99) %}{% set t.x = (t.x, t.x) %}{% endfor %}{{ t.x }}",
    "{% set t = namespace(x={}) %}{% for n in range(99) %}{% set t.x = {'a': t.x, 'b': t.x} %}{% endfor %}{{ t.x }}",
    "{% set t = namespace(x=1) %}{% for n in range(99) %}{% set t.x = namespace(a=t.x, b=t.x) %}{% endfor %}{{ t.x }}",
    "{{ 'aaaaaaaaaa'" + "|replace('a', 'aaaaaaaaaa')" * 12 + " }}",
    "{{ text|replace('a', text)|length }}",
    "{{ text|replace(new=text, old='a')|length }}",
    "{{ text.replace('a', text)|length }}",
    "{{ range(90000)|join(text)|length }}",
    "{{ text.join(range(90000)|map('string'))|length }}",
    "{{ 1.5|round(1000000000, 'ceil') }}",
    "{{ [1]|tojson(indent=1000000000) }}",
    "{% for n in range(19000) %}{% set x = text[1:] ~ n %}{% endfor %}",
    "{% for n in range(19000) %}{% if text == text ~ '' %}{% endif %}{% endfor %}",
    "{% for n in range(19000) %}{% if text is in [text, text] %}{% endif %}{% endfor %}",
    "{% set x %}{% for n in range(19000) %}" + "a" * 100_000 + "{% endfor %}{% endset %}",
    "{% macro f() %}" + "a" * 100_000 + "{% endmacro %}{% for n in range(19000) %}{% set x = f() %}{% endfor %}",
    "{{ range(90000)|map('upper')|list }}",
    "{{ [[1]]|sum(start=[1]) }}",
)


@pytest.mark.parametrize("source", _HUGE, ids=range(len(_HUGE)))
def test_a_template_makes_nothing_huge(source):
    """A template that creates huge values is rejected quickly, before it uses much memory."""
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(RecipeError, match=r"takes more than|larger than|longer than|more than 30|not numbers"):
        _render(source, text="a" * 1_000_000)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    "source",
    [
        "{{ '{:>1500000000}'.format(1) }}",
        "{{ '{:>1500000000}'|attr('format')(1) }}",
        "{{ '{x:>1500000000}'.format_map({'x': 1}) }}",
        "{{ (1).to_bytes(1500000000) }}",
        "{{ (1).from_bytes('a') }}",
        "{{ 'x'.encode() }}",
        "{{ text.translate({97: text}) }}",
        "{{ 'x'.ljust(1500000000) }}",
        "{{ 'x'['zfill'](1500000000) }}",
    ],
)
def test_a_template_calls_only_methods_that_are_known_to_be_bounded(source):
    """Methods that can create a huge value in one step cannot be called."""
    with pytest.raises(RecipeError, match="unsafe"):
        _render(source, text="a" * 1_000)


def test_a_template_calls_the_methods_of_texts_lists_and_objects():
    """The usual methods of texts, lists and mappings can be called."""
    loop = "{% for key, value in mapping.items() %}{{ key }}{{ value }}{% endfor %}"
    source = "{{ text.upper().split('-')[0].strip() }} {{ many.index(2) }} " + loop

    assert _render(source, text=" a-b", many=[1, 2], mapping={"c": 3}) == "A 1 c3"


def test_control_without_the_measure_a_text_grows(monkeypatch):
    """If values are not measured, a template that doubles a text is rendered."""
    source = "{% set t = namespace(x='ab') %}{% for n in range(22) %}{% set t.x = t.x + t.x %}{% endfor %}{{ t.x[:9] }}"
    with pytest.raises(RecipeError):
        _render(source)

    monkeypatch.setattr(template, "_MAX_TEXT_CHARACTERS", 10**9)
    monkeypatch.setattr(template, "_CHARACTERS_PER_STEP", 10**9)

    assert _render(source) == "ababababa"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 31|tojson }} {{ 2.345|round(2) }} {{ [1]|tojson(indent=2) }}", "31 2.35 [\n  1\n]"),
        ("{{ tags|join(', ') }} {{ ', '.join(tags) }} {{ tags|map('upper')|join('|') }}", "a, b a, b A|B"),
        ("{{ 'abc'|replace('b', 'x') }} {{ 'abc'.replace('b', 'x') }} {{ 'aaa'|replace('a', 'b', 1) }}", "axc axc baa"),
        ("{% if 'a' in tags and 1 < 2 <= 2 and tags[:1] == ['a'] %}yes{% endif %}", "yes"),
        ("{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}{% set c, d = 5, 6 %}{{ c + d }}", "123411"),
        ("{% set x %}in {{ tags[0] }}{% endset %}{{ x|upper }}{{ [1, 2]|sum }}{{ [1, 2]|sum(start=3) }}", "IN A36"),
        ("{{ tags }} {{ {'a': 1}['a'] }} {{ '<b>x</b>'|striptags }}", "['a', 'b'] 1 x"),
        ("{% filter upper %}a{{ tags[1] }}{% endfilter %}{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) ~ m(2) }}",
         "AB<1><2>"),
    ],
)  # fmt: skip
def test_what_templates_are_for_works(source, text):
    """Filters, methods, loops, blocks and comparisons of ordinary size give the same results as in Jinja."""
    assert _render(source, tags=["a", "b"]) == text


@pytest.mark.parametrize("source", _ENDLESS)
def test_a_template_comes_to_an_end(source):
    """A template that would run for hours is rejected after a bounded number of steps."""
    started = time.monotonic()

    with pytest.raises(RecipeError, match=r"takes more than|calls itself too often"):
        _render(source)

    assert time.monotonic() - started < 20


def test_control_without_the_count_the_loop_goes_on(monkeypatch):
    """If steps are not bounded, a long loop is rendered."""
    source = "{% for a in range(300) %}{% for b in range(300) %}.{% endfor %}{% endfor %}"
    with pytest.raises(RecipeError):
        _render(source)

    monkeypatch.setattr(template, "_MAX_STEPS", 10**9)

    assert len(_render(source)) == 90_000


def test_a_long_text_is_refused():
    """A prompt of many megabytes is rejected."""
    with pytest.raises(RecipeError, match="longer than"):
        _render("{% for n in range(15000) %}{{ text }}{% endfor %}", text="x" * 1_000)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{% if %}", "line 1"),
        ("one\n{{ two", "line 2"),
        ("one\n{% include 'other' %}", "line 2: a template cannot use another one"),
        ("{% import 'other' as other %}", "line 1: a template cannot use another one"),
        ("{{ 2 ** 3 }}", "it may not use **"),
        ("one\n{{ 1 / 0 }}", "the prompt, line 2 cannot be rendered: it divides by zero"),
        ("{{ topic - 1 }}", "line 1 cannot be rendered: a value has the wrong type"),
        ("{{ topic|nothing }}", "nothing"),
        ("{{ " + "(" * 5_000, "the prompt"),
    ],
)
def test_what_is_no_template_is_named(source, says):
    """Syntax errors, unknown filters and invalid operations are reported in one line with their position."""
    with pytest.raises(RecipeError) as raised:
        _render(source, topic="sea")

    assert says in raised.value.message
    assert "\n" not in raised.value.message


def test_an_error_quotes_nothing_of_the_item():
    """Errors do not quote the text of an item."""
    with pytest.raises(RecipeError) as raised:
        _render("{{ topic|int(default=none) + secret }}", topic="sea", secret="very private words")

    assert "private" not in raised.value.message


def test_the_task_is_added_to_every_prompt():
    """Every prompt ends with the number, order and keys of the requested turns."""
    prompts = PromptTemplates(
        system="Be {{ mood }}.", user="About {{ topic }}\n", roles={"user": "{{ mood }}"}, turns=3, language="Greek"
    )

    prompt = prompts.render(Item("sea", "1", None, {"mood": "calm"}), "item 1")

    assert prompt.system == "Be calm."
    assert prompt.user.startswith("About sea\n\nWrite it as exactly 3 turns, in Greek")
    assert "The user is calm." in prompt.user
    assert prompt.user.endswith('"user_1", "assistant_1", "user_2"')
