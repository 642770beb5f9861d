"""Every remedy that an error message names works when it is pasted, for the database and owner that were given."""

import re
import shlex
from dataclasses import dataclass, field
from typing import Any

import pytest

from backstay.cli.invocation import Invocation
from backstay.cli.remedies import PHRASES, phrase
from backstay.remedy import IN_PYTHON, Remedy
from support.harness.commands import Ended
from support.harness.waiting import until

_LIBRARY = ("--database", "a library.db", "--owner", "ann b")
_RUN = ("--model", "scripted")
_COMMAND = re.compile(r"`(backstay [^`]+)`")


@dataclass(frozen=True)
class _Case:
    """A command that fails, and what its message says to do."""

    failing: tuple[str, ...]
    remedy: Remedy
    code: int = 1
    extra: tuple[str, ...] = ()
    """What the command of the remedy needs without a terminal."""
    changed: tuple[str, ...] | None = None
    """The command that failed, changed as the message says; None if the remedy is a command."""
    names: tuple[str, ...] = field(default=())
    """What the message has to contain."""


_CASES = [
    _Case(("status", "none"), Remedy.LIST_JOBS),
    _Case(("pause", "whole"), Remedy.SHOW_JOB),
    _Case(("pause", "halted"), Remedy.RESUME_JOB),
    _Case(("resume", "cancelled one"), Remedy.DISCARD_JOB, extra=("--yes",)),
    _Case(
        ("run", "fewer.csv", "--job", "whole", *_RUN),
        Remedy.CHOOSE_JOB_NAME,
        changed=("run", "fewer.csv", "--job", "another", *_RUN),
        names=("--job",),
    ),
    _Case(
        ("run", "two.csv", "--job", "whole", "--processor", "made:picky"),
        Remedy.FREE_JOB_NAME,
        extra=("--yes",),
        names=("--job",),
    ),
    _Case(
        ("run", "two.csv", "--job", "recipe", "--recipe", "b.toml"),
        Remedy.USE_STORED_RECIPE,
        names=("--job", "--recipe FILE"),
    ),
    _Case(
        ("run", "more.csv", "--job", "whole", *_RUN),
        Remedy.ACCEPT_NEW_ITEMS,
        changed=("run", "more.csv", "--job", "whole", *_RUN, "--accept-new-items"),
        names=("--accept-new-items",),
    ),
    _Case(
        ("run", "subjects.csv", *_RUN),
        Remedy.NAME_TOPIC_COLUMN,
        2,
        changed=("run", "subjects.csv", *_RUN, "--topic-column", "subject"),
        names=("--topic-column",),
    ),
    _Case(
        ("run", "ragged.csv", *_RUN),
        Remedy.SKIP_BAD_ROWS,
        changed=("run", "ragged.csv", *_RUN, "--on-bad-row", "skip"),
        names=("--on-bad-row skip", "--quarantine FILE"),
    ),
    _Case(
        ("run", "ragged.csv", *_RUN, "--on-bad-row", "quarantine"),
        Remedy.NAME_QUARANTINE,
        2,
        changed=("run", "ragged.csv", *_RUN, "--on-bad-row", "quarantine", "--quarantine", "kept.csv"),
        names=("--quarantine FILE",),
    ),
    _Case(
        ("run", "subject.csv", *_RUN),
        Remedy.NAME_ONLY_COLUMN,
        2,
        changed=("run", "subject.csv", *_RUN, "--topic-column", "the subject"),
        names=("--topic-column 'the subject'",),
    ),
    _Case(
        ("run", "western.csv", *_RUN),
        Remedy.NAME_ENCODING,
        changed=("run", "western.csv", *_RUN, "--encoding", "cp1252"),
        names=("--encoding cp1252",),
    ),
    _Case(
        ("run", "utf8.csv", *_RUN, "--encoding", "cp1252"),
        Remedy.CORRECT_ENCODING,
        changed=("run", "utf8.csv", *_RUN),
        names=("leave --encoding out",),
    ),
    *(
        _Case(
            ("run", "western.jsonl", *_RUN),
            Remedy.NAME_ENCODING_OR_SKIP,
            changed=("run", "western.jsonl", *_RUN, *option),
            names=(" ".join(option),),
        )
        for option in (("--encoding", "cp1252"), ("--on-bad-row", "skip"))
    ),
    _Case(
        ("run", "damaged.jsonl", *_RUN),
        Remedy.SKIP_BAD_ROWS,
        changed=("run", "damaged.jsonl", *_RUN, "--on-bad-row", "skip"),
        names=("line 2: not UTF-8 text; --on-bad-row skip",),
    ),
    *(
        _Case(
            ("conversations", "import", "changed.jsonl"),
            Remedy.SKIP_OR_RENAME,
            changed=("conversations", "import", "changed.jsonl", option, value),
            names=(option,),
        )
        for option, value in (("--on-conflict", "skip"), ("--on-conflict", "new"), ("--id-prefix", "b-"))
    ),
    _Case(
        ("conversations", "import", "question.jsonl", "--strict"),
        Remedy.ACCEPT_WARNINGS,
        changed=("conversations", "import", "question.jsonl"),
        names=("Without --strict",),
    ),
    _Case(
        ("run", "two.csv", "--model", "gpt"),
        Remedy.NAME_MODEL,
        2,
        changed=("probe", "--help"),
        names=("--model", "--base-url"),
    ),
    _Case(
        ("run", "two.csv", "--model", "azure:m"),
        Remedy.SET_BASE_URL,
        2,
        changed=("probe", "--help"),
        names=("--base-url",),
    ),
    _Case(("run", "two.csv", "--recipe", "recipe.toml"), Remedy.WRITE_RECIPE, 2),
    _Case(("conversations", "show", "none"), Remedy.LIST_CONVERSATIONS),
    _Case(
        ("conversations", "delete", "none", "--yes"),
        Remedy.IGNORE_MISSING,
        changed=("conversations", "delete", "none", "--ignore-missing", "--yes"),
        names=("--ignore-missing",),
    ),
    _Case(
        ("backups", "create"),
        Remedy.SELECT_CONVERSATIONS,
        2,
        changed=("backups", "create", "--all"),
        names=("--job", "--all"),
    ),
    _Case(("backups", "show", "backup-1-a"), Remedy.LIST_BACKUPS),
]


@pytest.fixture
def library(within, backstay) -> Any:
    """Create a library with jobs in several states."""

    def run(*words: str) -> Ended:
        return within(*_LIBRARY, *words)

    backstay.write("two.csv", "Gardens", "Tea")
    backstay.write("more.csv", "Gardens", "Tea", "Salt")
    backstay.write("fewer.csv", "Gardens")
    backstay.write("bad.csv", "bad things")
    (backstay.folder / "subjects.csv").write_text("subject,level\nTea,1\n")
    (backstay.folder / "subject.csv").write_text("the subject\nTea\n")
    (backstay.folder / "ragged.csv").write_text("topic,tone\nTea,calm\nSalt\n")
    (backstay.folder / "western.csv").write_bytes("topic\nGröße\n".encode("cp1252"))
    (backstay.folder / "utf8.csv").write_text("topic\nGröße\n", encoding="utf-8")
    rows = '{"topic": "Tea"}\n', '{"topic": "Größe"}\n'
    (backstay.folder / "western.jsonl").write_bytes("".join(rows).encode("cp1252"))
    (backstay.folder / "damaged.jsonl").write_bytes(rows[1].encode() + rows[1].encode("cp1252"))
    for name, turns in (("a", 2), ("b", 4)):
        (backstay.folder / f"{name}.toml").write_text(
            f'model = "m"\nbase_url = "http://127.0.0.1:9/v1"\nturns = {turns}\n'
        )
    assert run("run", "two.csv", "--job", "whole", *_RUN).code == 0
    assert run("run", "two.csv", "--job", "cancelled one", *_RUN, "--limit", "1").code == 4
    assert run("cancel", "cancelled one", "--yes").code == 0
    assert run("run", "two.csv", "--job", "recipe", "--recipe", "a.toml", "--patience", "1s").code == 5
    assert run("run", "bad.csv", "--job", "halted", "--processor", "made:refused").code == 5
    exported = run("conversations", "export", "--job", "whole", "--format", "native").out
    (backstay.folder / "changed.jsonl").write_text(exported.replace("Tea", "Coffee"))
    (backstay.folder / "question.jsonl").write_text('{"messages": [{"role": "user", "content": "Tea?"}]}')
    return run


@pytest.mark.parametrize("case", _CASES, ids=lambda case: str(case.remedy))
def test_a_remedy_works(library, case):
    """The command that an error message names, or the option, leads on."""
    failed = library(*case.failing)
    as_json = library(*case.failing, "--json")

    assert failed.code == case.code
    assert as_json.error["remedy"] == case.remedy
    assert as_json.error["message"] == failed.one_line_error()
    assert all(name in failed.err for name in case.names)
    commands = _commands(failed)
    assert all(command[: len(_LIBRARY)] == list(_LIBRARY) for command in commands)
    if case.changed is not None:
        assert library(*case.changed).code == 0
    else:
        assert library(*commands[0][len(_LIBRARY) :], *case.extra).code in (0, 5)


def test_the_job_that_blocks_a_restore_is_paused(library, backstay):
    """The restore of a conversation whose item is being worked on names the command that pauses the job."""
    deleted = library("conversations", "delete", "--job", "whole", "--yes", "--json").json
    library("discard", "whole", "--yes")
    held = ("--processor", "made:held", "--concurrency", "1")
    process = backstay.start(*_LIBRARY, "run", "two.csv", "--job", "whole", *held)
    until(lambda: list(backstay.folder.glob("held-*")))

    refused = library("backups", "restore", deleted["backupId"])
    ((*options, verb, job),) = _commands(refused)
    paused = library(verb, job)
    (backstay.folder / "let go").touch()
    process.wait()
    restored = library("backups", "restore", deleted["backupId"])

    assert (refused.code, options, verb, job) == (1, list(_LIBRARY), "pause", "whole")
    assert (paused.code, process.returncode, restored.code) == (0, 5, 0)


def test_doctor_names_the_job_to_resume(within, backstay):
    """`doctor` names the command that completes the only unfinished job, and of several leaves the choice."""
    backstay.write("two.csv", "Gardens", "Tea")
    for job in ("first one", "second"):
        assert within(*_LIBRARY, "run", "two.csv", "--job", job, *_RUN, "--limit", "1").code == 4

    several = _doctor_commands(within, "jobs")
    first = within(*_LIBRARY, "resume", "first one")
    (command,) = _doctor_commands(within, "jobs")
    second = within(*_LIBRARY, *command)

    assert several == [["resume", "JOB"]]
    assert command == ["resume", "second"]
    assert (first.code, second.code, _doctor_commands(within, "jobs")) == (0, 0, [])


def test_doctor_names_what_to_do_about_backups(library, within, backstay):
    """What `doctor` says about an intact file of a damaged backup and about a missing file satisfies it."""
    backup = library("backups", "create", "--all", "--json").json["backupId"]
    (file,) = backstay.folder.rglob(f"{backup}.json.zst")
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])

    library("doctor", "--deep")
    file.write_bytes(whole)
    (verify,) = _doctor_commands(within, "backups", "--deep")
    verified = library(*verify)
    sound = _doctor_commands(within, "backups", "--deep")
    file.unlink()
    (delete,) = _doctor_commands(within, "backups")
    deleted = library(*[backup if word == "BACKUP" else word for word in delete], "--yes")

    assert (verify, verified.code, sound) == (["backups", "verify", backup], 0, [])
    assert (delete, deleted.code) == (["backups", "delete", "BACKUP"], 0)
    assert _doctor_commands(within, "backups") == []


def test_doctor_names_another_database_and_owner(library, within, backstay):
    """The options that `doctor` names for a folder in place of a database and for other owners lead to the library."""
    folder = within("--database", str(backstay.folder), "doctor")
    without_owner = within("--database", "a library.db", "doctor")
    jobs = library("jobs")

    assert "→ name another database with --database or BACKSTAY_DATABASE_URL" in folder.out
    assert "→ name another owner with --owner or BACKSTAY_OWNER" in without_owner.out
    assert "whole" in jobs.out


def _doctor_commands(within: Any, name: str, *options: str) -> list[list[str]]:
    """Return the commands that `doctor` names for a check, without the global options, which they repeat."""
    checks = within(*_LIBRARY, "doctor", *options, "--json").json["checks"]
    remedies = " ".join(check["remedy"] or "" for check in checks if check["name"] == name)
    commands = [shlex.split(command)[1:] for command in _COMMAND.findall(remedies)]
    assert all(command[: len(_LIBRARY)] == list(_LIBRARY) for command in commands)
    return [command[len(_LIBRARY) :] for command in commands]


def test_a_remedy_repeats_any_option(within):
    """A remedy repeats the global options as they were given, even with braces in them."""
    failed = within("--database", "a {b} {0}.db", "status", "none")

    assert failed.code == 1
    assert _commands(failed)[0] == ["--database", "a {b} {0}.db", "run"]


def _commands(ended: Ended) -> list[list[str]]:
    return [shlex.split(command)[1:] for command in _COMMAND.findall(ended.err)]


def test_every_remedy_is_phrased():
    """Every remedy has a phrase for the command line; those of Python are remedies."""
    assert set(PHRASES) == set(Remedy)
    assert set(IN_PYTHON) <= set(Remedy)


def test_values_are_quoted_for_a_shell():
    """An id in a command is quoted for a shell, and a command begins with the options of this call."""
    invocation = Invocation(database="postgresql://ann:secret@host/db", owner="ann b")

    text = phrase(invocation, Remedy.CANCEL_JOB, {"job_id": "a; rm -rf b"})

    assert text == "`backstay --database postgresql://ann@host/db --owner 'ann b' cancel 'a; rm -rf b'` stops it"
