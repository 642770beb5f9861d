"""Write the tables of refusals into their page, from the rules: `python scripts/refusals.py`.

The page is `docs/reference/refusals.md`; what stands outside the two marks is written by hand.
"""

from collections.abc import Iterable
from pathlib import Path

from backstay.generate.classification_rule import Rule
from backstay.generate.error_rules import CODES, FIELDS, STATUSES, WORDS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "refusals.md"
BEGIN = "<!-- refusals: made by scripts/refusals.py from here -->"
END = "<!-- refusals: made by scripts/refusals.py up to here -->"
_SECTIONS = (
    ("1. Codes, types and reasons", CODES),
    ("2. Fields and headers", FIELDS),
    ("3. Words", WORDS),
    ("4. The status alone", STATUSES),
)


def table() -> str:
    """Return the tables of all rules, in the order in which they are tried."""
    lines: list[str] = []
    for title, rules in _SECTIONS:
        lines += ["", f"### {title}", "", "| sign | seen at | kind | code |", "| --- | --- | --- | --- |"]
        lines += [f"| {_sign(rule)} | {rule.providers} | {_kind(rule)} | `{rule.code}` |" for rule in rules]
    return "\n".join(lines) + "\n\n"


def page(text: str) -> str:
    """Return the text of the page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}{END}{after}"


def _sign(rule: Rule) -> str:
    signs = []
    if rule.codes:
        signs.append(_listed(sorted(rule.codes)))
    if rule.field:
        path, value = rule.field
        signs.append(f"`{path}` contains `{value}`" if value else f"`{path}` is present")
    if rule.header:
        signs.append(f"header `{rule.header[0]}: {rule.header[1]}`")
    if rule.is_page:
        signs.append("a web page")
    if rule.parameters:
        named = "any parameter" if "*" in rule.parameters else f"the parameter {_listed(sorted(rule.parameters))}"
        signs.append(named)
    if rule.words:
        signs.append(", ".join(f"“{words}”" for words in rule.words))
    if rule.completion_is_larger:
        signs.append("more tokens counted for the answer than for the prompt")
    if rule.has_time is not None:
        signs.append("a time to wait is named" if rule.has_time else "no time to wait is named")
    if rule.statuses:
        signs.append(f"status {_ranges(rule.statuses)}")
    return "; ".join(signs)


def _kind(rule: Rule) -> str:
    notes = [rule.kind.value]
    if rule.change:
        notes.append(f"`{rule.new_name}`" if rule.new_name else rule.change.value)
    if rule.is_decisive:
        notes.append("decisive")
    return ", ".join(notes)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _ranges(statuses: Iterable[int]) -> str:
    runs: list[list[int]] = []
    for status in sorted(statuses):
        if runs and status == runs[-1][-1] + 1:
            runs[-1].append(status)
        else:
            runs.append([status])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
