"""`backstay conversations edit`, `history`, `diff` and `revert`."""

import json
import re
import shlex
import stat
import sys

import pytest


@pytest.fixture
def stored(within, backstay):
    """Import the conversation `c` of three turns."""
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "The quick fox", "metadata": {"reasoning": "Hm", "weight": 0}},
        {"role": "user", "content": "Bye"},
    ]
    (backstay.folder / "c.jsonl").write_text(json.dumps({"id": "c", "topic": "T", "conversation_turns": turns}))
    within("conversations", "import", "c.jsonl")
    return within("conversations", "show", "c", "--json").json


@pytest.fixture
def editor(backstay, monkeypatch):
    """Return a function that makes a shell script the editor."""

    def editor(script):
        path = backstay.folder / "my editor"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("VISUAL", f"'{path}'")
        monkeypatch.setenv("TMPDIR", str(backstay.folder / "tmp"))
        monkeypatch.setattr("tempfile.tempdir", str(backstay.folder / "tmp"))
        (backstay.folder / "tmp").mkdir(exist_ok=True)
        return path

    return editor


def _turns(within):
    return [(turn["role"], turn["content"]) for turn in within("conversations", "show", "c", "--json").json["turns"]]


def _left(backstay):
    return [path.read_text() for path in (backstay.folder / "tmp").iterdir()]


_STORED = [("user", "Hi"), ("assistant", "The quick fox"), ("user", "Bye")]


@pytest.mark.parametrize(
    ("options", "turns"),
    [
        (("--turn", "2", "--text", "The slow fox"), [_STORED[0], ("assistant", "The slow fox"), _STORED[2]]),
        (("--turn", "3", "--role", "tool"), [*_STORED[:2], ("tool", "Bye")]),
        (("--turn", "2", "--text-file", "text.txt"), [_STORED[0], ("assistant", "from\na file"), _STORED[2]]),
        (("--remove-turn", "2", "--remove-turn", "3"), _STORED[:1]),
        (("--add-turn", "assistant", "--text", "New"), [*_STORED, ("assistant", "New")]),
        (("--add-turn", "system", "--text", "New", "--at", "1"), [("system", "New"), *_STORED]),
        (("--move-turn", "1", "--at", "3"), [*_STORED[1:], _STORED[0]]),
    ],
)
def test_turns_are_edited_with_options(within, backstay, stored, options, turns):
    """Options change, add, remove and move turns; the output names the version, and the command that undoes it."""
    (backstay.folder / "text.txt").write_text("from\na file")

    ended = within("conversations", "edit", "c", *options)

    assert (ended.code, ended.out) == (0, "Stored version 2 of conversation 'c'.\n")
    assert ended.err == "Undo: backstay conversations revert c\n"
    assert _turns(within) == turns
    assert within("conversations", "revert", "c").out == "Stored version 3 of conversation 'c'.\n"
    assert _turns(within) == _STORED


def test_topic_and_persona_are_edited(within, stored):
    """--topic and --persona set a text or, if it is empty, remove it; --json prints the edited conversation."""
    edited = within("conversations", "edit", "c", "--topic", "", "--persona", "Ünï", "--json").json

    assert (edited["topic"], edited["persona"]) == (None, "Ünï")
    assert edited == within("conversations", "show", "c", "--json").json
    assert edited["digest"] != stored["digest"]
    assert edited["turns"] == stored["turns"]


def test_history_and_difference(within, stored):
    """The history lists the versions with editors, and the difference shows changed words between marks."""
    within("conversations", "edit", "c", "--turn", "2", "--text", "The slow fox", "--reviewer", "Ann")
    within("conversations", "edit", "c", "--topic", "U", "--reviewer", "Bob")

    history = [line.split("\t") for line in within("conversations", "history", "c").out.splitlines()]
    versions = within("conversations", "history", "c", "--json").json["versions"]
    first = within("conversations", "diff", "c", "--from", "1", "--to", "2")
    last = within("conversations", "diff", "c").out
    both = within("conversations", "diff", "c", "--from", "1", "--json").json

    assert [(row[0], *row[2:]) for row in history] == [("1", "", ""), ("2", "Ann", ""), ("3", "Bob", "current")]
    assert [(each["number"], each["editor"], each["isCurrent"]) for each in versions] == [
        (1, None, False), (2, "Ann", False), (3, "Bob", True),
    ]  # fmt: skip
    assert first.out == (
        "version 1 → version 2\n\n2 assistant, changed:\n  The [-quick-]{+slow+} fox\n\n2 turns unchanged\n"
    )
    assert last == "version 2 → version 3\n\ntopic, changed:\n  [-T-]{+U+}\n\n3 turns unchanged\n"
    assert (both["before"], both["after"], [turn["change"] for turn in both["turns"]]) == (
        1, 3, ["same", "changed", "same"],
    )  # fmt: skip


def test_difference_is_coloured_on_a_terminal(backstay, within, stored):
    """On a terminal the changed words are coloured, and what a text holds cannot send escape sequences."""
    within("conversations", "edit", "c", "--turn", "2", "--text", "The \x1b[8mslow\x1b[0m fox")

    shown = backstay.on_terminal("conversations", "diff", "c").out

    assert "\x1b[31mquick\x1b[0m" in shown
    assert "\x1b[32m[8mslow[0m\x1b[0m" in shown
    assert "\x1b[8m" not in shown


def test_conversation_is_edited_in_the_editor(within, backstay, stored, editor):
    """The editor gets a file that only its user may read; its text is stored, and the file is removed."""
    editor('stat -c %a "$1" > mode; sed -i \'s/quick/slow/; s/^=== 3 user/=== 3 tool/\' "$1"')

    ended = within("conversations", "edit", "c")

    assert (ended.code, ended.out) == (0, "Stored version 2 of conversation 'c'.\n")
    assert _turns(within) == [_STORED[0], ("assistant", "The slow fox"), ("tool", "Bye")]
    (turn,) = [turn for turn in within("conversations", "show", "c", "--json").json["turns"] if turn["sequence"] == 2]
    assert (turn["reasoning"], turn["metadata"]) == ("Hm", {"weight": 0})
    assert (backstay.folder / "mode").read_text() == "600\n"
    assert _left(backstay) == []


@pytest.mark.parametrize("script", ["true", ': > "$1"', 'sed -i "s/$/\\r/" "$1"'])
def test_nothing_is_stored_without_a_change(within, backstay, stored, editor, script):
    """An unchanged or empty file, or one with other line ends, stores nothing."""
    editor(script)

    ended = within("conversations", "edit", "c")

    assert (ended.code, ended.out) == (0, "Nothing changed, so nothing was stored.\n")
    assert within("conversations", "show", "c", "--json").json == stored
    assert _left(backstay) == []


def test_mistake_keeps_the_file(within, backstay, stored, editor):
    """Without a terminal a mistake ends the command, names the line, and keeps what was typed."""
    editor("sed -i 's/^=== 2.*/=== 9 assistant/; s/quick/slow/' \"$1\"")

    ended = within("conversations", "edit", "c")

    (kept,) = (backstay.folder / "tmp").iterdir()
    assert ended.code == 1
    before, _, command = ended.one_line_error().partition(" with: ")
    assert before == (
        f"Line 9: there is no turn 9; a new turn has no number; what you typed is in {kept}; correct it, then store it"
    )
    assert within("conversations", "show", "c", "--json").json == stored
    still_wrong = within(*shlex.split(command)[1:])
    kept.write_text(kept.read_text().replace("=== 9 ", "=== 2 "))
    assert f"{kept}: Line 9: there is no turn 9" in still_wrong.one_line_error()
    assert within(*shlex.split(command)[1:]).out == "Stored version 2 of conversation 'c'.\n"
    assert "The slow fox" in within("conversations", "show", "c").out


def test_mistake_opens_the_editor_again(backstay, stored, editor):
    """On a terminal a mistake opens the file again, with the error as its first line."""
    path = editor(
        "if grep -q '^# Error: Line 10: there is no turn 9' \"$1\"; then sed -i 's/^=== 9 /=== 2 /' \"$1\"\n"
        "else sed -i 's/^=== 2 /=== 9 /; s/quick/slow/' \"$1\"; fi"
    )
    environment = backstay.environment
    backstay.environment = lambda **more: environment(VISUAL=f"'{path}'", **more)

    ended = backstay.on_terminal("conversations", "edit", "c")

    assert ended.code == 0, ended.out
    assert "Stored version 2 of conversation 'c'." in ended.out
    assert "The slow fox" in backstay("conversations", "show", "c").out


def test_second_editor_keeps_the_file(within, backstay, stored, editor):
    """If the conversation is changed while the editor is open, nothing is stored and what was typed is kept."""
    editor(
        f"cd '{backstay.folder}' && '{sys.executable}' -m backstay conversations edit c --topic first >/dev/null 2>&1\n"
        "sed -i 's/quick/slow/' \"$1\""
    )

    ended = within("conversations", "edit", "c")

    (kept,) = (backstay.folder / "tmp").iterdir()
    message = ended.one_line_error()
    assert ended.code == 1
    assert message.startswith("Conversation 'c' was changed since it was read; the edit was not stored")
    assert str(kept) in message
    assert message.endswith("`backstay conversations show c` prints it as it is now")
    assert "The slow fox" in kept.read_text()
    shown = within("conversations", "show", "c", "--json").json
    assert (shown["topic"], shown["turns"]) == ("first", stored["turns"])

    command = re.search(r"replace the newer version with: backstay (.*?--overwrite)", message)[1]
    without = within(*shlex.split(command)[:-1])
    replaced = within(*shlex.split(command))
    assert "was changed since it was read; the edit was not stored" in without.one_line_error()
    assert replaced.out == "Stored version 3 of conversation 'c'.\n"
    assert "The slow fox" in within("conversations", "show", "c").out


def test_without_a_terminal_no_editor_is_guessed(within, stored, monkeypatch):
    """Without a terminal, VISUAL and EDITOR, the edit is refused at once, and the message names the options."""
    for variable in ("VISUAL", "EDITOR"):
        monkeypatch.delenv(variable, raising=False)

    ended = within("conversations", "edit", "c")

    assert (ended.code, ended.one_line_error()) == (
        2,
        "There is no terminal for an editor; set EDITOR, or edit with --from-file FILE or the other options of "
        "`backstay conversations edit --help`",
    )


def test_the_history_names_the_version_that_was_reverted_to(within, stored):
    """A version with the content of an earlier one says that it was reverted to that one."""
    within("conversations", "edit", "c", "--topic", "U")
    within("conversations", "revert", "c")
    within("conversations", "revert", "c")

    history = [line.split("\t") for line in within("conversations", "history", "c").out.splitlines()]
    versions = within("conversations", "history", "c", "--json").json["versions"]

    assert [row[3] for row in history] == ["", "", "reverted to version 1", "reverted to version 2; current"]
    assert [each["sameAs"] for each in versions] == [None, None, 1, 2]


@pytest.mark.parametrize(
    ("editor_name", "message"),
    [
        ("none-of-that-name", "none-of-that-name not found; set VISUAL to your editor"),
        ("'", "VISUAL is not a valid command: No closing quotation"),
        ("false", "false ended with status 1"),
    ],
)
def test_editor_that_fails(within, stored, monkeypatch, editor_name, message):
    """An editor that is missing or fails is named, and nothing is stored."""
    monkeypatch.setenv("VISUAL", editor_name)

    ended = within("conversations", "edit", "c")

    assert (ended.code, ended.one_line_error()) == (2, message)
    assert within("conversations", "show", "c", "--json").json == stored


def test_file_with_the_whole_conversation(within, backstay, stored):
    """A file as `show --json` prints it, or as a native export has it, is stored, and refused if it is outdated."""
    shown = json.dumps(stored).replace("quick", "slow")
    (backstay.folder / "shown.json").write_text(shown)
    within("conversations", "export", "c", "--format", "native", "-o", "native.jsonl")
    native = (backstay.folder / "native.jsonl").read_text().replace("quick", "brown")
    (backstay.folder / "native.json").write_text(native)

    first = within("conversations", "edit", "c", "--from-file", "shown.json")
    outdated = within("conversations", "edit", "c", "--from-file", "shown.json", "--json")
    (backstay.folder / "shown.json").write_text(shown.replace("Bye", "Later"))
    refused = within("conversations", "edit", "c", "--from-file", "shown.json")
    second = within("conversations", "edit", "c", "--from-file", "native.json")

    assert (first.code, outdated.code, refused.code, second.code) == (0, 0, 1, 0)
    assert "was changed since it was read" in refused.one_line_error()
    edited = within("conversations", "show", "c", "--json").json["turns"]
    assert edited == [stored["turns"][0], {**stored["turns"][1], "content": "The brown fox"}, stored["turns"][2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "f.json, line 1: not valid JSON"),
        ("[]", "f.json is not one conversation: a JSON object with its turns is expected"),
        ('{"turns": [1]}', "f.json: turn 1 is not an object with a role and a content"),
        ('{"turns": [{"role": "user"}]}', "f.json: turn 1 is not an object with a role and a content"),
        ('{"turns": [{"role": "user", "content": 1}]}', "The edit cannot be stored: role and content of turn"),
        ('{"turns": []}', "The edit cannot be stored: the conversation has no turns"),
        ('{"topic": 3, "turns": [{"role": "user", "content": "a"}]}', "The edit cannot be stored: the topic must be"),
    ],
)  # fmt: skip
def test_file_that_is_no_conversation(within, backstay, stored, content, message):
    """A file that holds no conversation is refused with one line that says where."""
    (backstay.folder / "f.json").write_text(content)

    ended = within("conversations", "edit", "c", "--from-file", "f.json")

    assert ended.code == 1
    assert ended.one_line_error().startswith(message)
    assert within("conversations", "show", "c", "--json").json == stored


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--turn", "2"), "--turn needs --text, --text-file or --role"),
        (("--add-turn", "user"), "--add-turn needs --text or --text-file"),
        (("--move-turn", "2"), "--move-turn needs --at"),
        (("--text", "a"), "--text needs --turn N or --add-turn ROLE"),
        (("--role", "user"), "--role needs --turn N or --add-turn ROLE"),
        (("--turn", "1", "--add-turn", "user", "--text", "a"), "--turn and --add-turn exclude each other"),
        (("--turn", "4", "--text", "a"), "--turn 4 is too high: the last turn is 3"),
        (("--remove-turn", "4"), "--remove-turn 4 is too high: the last turn is 3"),
        (("--add-turn", "user", "--text", "a", "--at", "5"), "--at 5 is too high: the last turn is 4"),
        (("--turn", "1", "--text", "a", "--text-file", "b"), "--text and --text-file exclude each other"),
        (("--from-file", "f", "--topic", "a"), "--from-file has the whole conversation; leave the other options out"),
        (("--turn", "1", "--text-file", "none.txt"), "none.txt not found"),
    ],
)
def test_options_that_do_not_fit(within, stored, options, message):
    """Options that contradict each other, or name no turn, are wrong usage and named."""
    ended = within("conversations", "edit", "c", *options)

    assert ended.code == 2
    assert ended.one_line_error().startswith(message)


@pytest.mark.parametrize("options", [("--turn", "1", "--text", " "), ("--add-turn", "narrator", "--text", "a")])
def test_turn_that_cannot_be_stored(within, stored, options):
    """A turn that is empty, or has a role that no format knows, is named by its number."""
    ended = within("conversations", "edit", "c", *options)

    assert ended.code == 1
    assert ended.one_line_error().startswith("The edit cannot be stored: turn ")


@pytest.mark.parametrize(
    "words", [("edit", "none", "--topic", "a"), ("history", "none"), ("diff", "none"), ("revert", "none")]
)
def test_unknown_conversation(within, stored, words):
    """A conversation that does not exist is named by every command."""
    ended = within("conversations", *words)

    assert ended.code == 1
    assert ended.one_line_error() == "Conversation 'none' not found; `backstay conversations list` shows all"


@pytest.mark.parametrize(
    "words", [("diff", "c"), ("revert", "c"), ("diff", "c", "--from", "7"), ("revert", "c", "--to", "7")]
)
def test_unknown_version(within, stored, words):
    """A version that does not exist is an error that names the command for the list of versions, which works."""
    ended = within("conversations", *words)

    assert ended.code == 1
    assert ended.one_line_error().endswith("`backstay conversations history c` lists its versions")
    assert within("conversations", "history", "c").out == "1\tfirst stored\t\tcurrent\n"


def test_the_editor_is_the_reviewer_of_the_settings(within, stored, monkeypatch):
    """An edit is the reviewer's, unless an option names someone else, and the variable is known."""
    monkeypatch.setenv("BACKSTAY_REVIEWER", "Ann")
    edited = within("conversations", "edit", "c", "--topic", "x")
    within("conversations", "revert", "c", "--reviewer", "Bob")
    versions = within("conversations", "history", "c", "--json").json["versions"]

    assert "BACKSTAY_REVIEWER" not in edited.err
    assert [version["editor"] for version in versions] == [None, "Ann", "Bob"]


def test_pairs_of_edits_are_counted_as_pairs(within, stored):
    """An export of corrections counts pairs, and one that makes none names only the option that leaves it out."""
    pairs = (
        "conversations",
        "export",
        "--edited",
        "--pairs",
        "edits",
        "--format",
        "trl-preference",
        "-o",
        "pairs.jsonl",
    )
    within("conversations", "edit", "c", "--topic", "U")
    refused = within(*pairs)
    within("conversations", "edit", "c", "--turn", "2", "--text", "The slow fox")

    exported = within(*pairs)

    assert "edits that do not correct an answer (1 conversation)" in refused.one_line_error()
    assert refused.one_line_error().endswith("--lossy leaves them out")
    assert exported.err.startswith("1 pair exported to pairs.jsonl.\n")
