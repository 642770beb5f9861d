"""Keys from the environment, commands and files, and secret headers."""

import asyncio
import logging
import os
import shutil
import signal
from pathlib import Path

import pytest

from backstay.errors import ApiKeyMissing, SettingsError
from backstay.generate.key_source import KeySources
from backstay.settings import KeySetting
from support.harness.waiting import until

_KEY = "sk-0123456789abcdef"
_PRINT = f"printf {_KEY}"


def _sources(environ=None, directory=None, *, seconds=20.0, **setting):
    keys = {"K": KeySetting(**setting)} if setting else {}
    return KeySources(keys, directory=directory, environ=environ or {}, command_seconds=seconds)


@pytest.mark.parametrize("text", [_KEY, f" {_KEY} \n", f'"{_KEY}"', f"'{_KEY}'", f' " {_KEY}"\n'])
def test_a_key_is_read_without_what_stands_around_it(text, caplog):
    """Spaces and quotes around a key are removed; quotes are reported once, by the name of the variable."""
    sources = _sources({"K": text})

    assert [sources.read("K"), sources.read("K")] == [_KEY, _KEY]
    assert [record.msg for record in caplog.records] == (["key_has_quotes"] if "'" in text or '"' in text else [])
    assert _KEY not in caplog.text


@pytest.mark.parametrize("text", ["sécret key", "two words", "'", '"two words"'])
def test_what_cannot_be_a_key_is_reported_without_being_shown(text):
    """A value that cannot be a key is reported by the name of its variable."""
    if text == "'":
        assert _sources({"K": text}).read("K") == "'"
        return
    with pytest.raises(ApiKeyMissing, match=r"^The value of K cannot be an API key") as raised:
        _sources({"K": text}).read("K")

    assert "cret" not in raised.value.message
    assert "two" not in raised.value.message


def test_the_environment_wins_over_the_settings():
    """A command is run only if the variable is not set; without variable and setting there is no key."""
    assert _sources({"K": "of-the-environment"}, command=_PRINT).read("K") == "of-the-environment"
    assert _sources({"K": " "}, command=_PRINT).read("K") == _KEY
    assert _sources().read("K") is None


async def test_a_command_is_run_once_in_the_directory_of_the_settings(tmp_path):
    """A command runs in the directory of the settings, and its output is cached until a refresh."""
    sources = _sources(directory=tmp_path, command=f"echo run >> runs; {_PRINT}")

    assert [sources.read("K"), sources.read("K"), await sources.obtain("K", refresh=True)] == [_KEY] * 3
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (f"echo {_KEY} >&2; echo {_KEY}; exit 3", "ended with status 3; run it by hand"),
        ("no-such-program-anywhere", "ended with status 127"),
        ("true", r"^The output of the command for K is empty \(\[keys.K\]"),
        (f"echo {_KEY}; echo {_KEY}", "^The output of the command for K cannot be an API key"),
        ("read line < /dev/tty", "ended with status"),
        ("read line", "ended with status 1"),
        (f"yes {_KEY}", "^The command for K .* prints more than 65,536 bytes"),
        (f"exec >&-; echo {_KEY}", "ended with status"),
        (f"echo {_KEY}\0", r"^The command for K \(\[keys.K\] in backstay.toml\) cannot be run: embedded null byte"),
    ],
)
def test_a_command_that_gives_no_key_is_reported_by_name(command, says, capfd):
    """A command that fails is reported by its setting without its output, and has no terminal."""
    with pytest.raises(ApiKeyMissing, match=says) as raised:
        _sources(command=command).read("K")

    assert "keys.K" in raised.value.message or "for K" in raised.value.message
    assert _KEY not in str(raised.value) + str(raised.value.context) + "".join(capfd.readouterr())


def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path):
    """A command that exceeds its time is killed with its child processes."""
    command = f"echo {_KEY}; sleep 600 & echo $! > child; sleep 600"

    with pytest.raises(ApiKeyMissing, match=r"did not end within 0.5 s") as raised:
        _sources(directory=tmp_path, seconds=0.5, command=command).read("K")

    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    child = int((tmp_path / "child").read_text())
    until(lambda: not _is_running(child))


@pytest.mark.parametrize("start", ["sleep 600 & echo $! > child", "setsid sh -c 'echo $$ > child; exec sleep 600' &"])
def test_what_a_command_leaves_running_holds_nothing_up(start, tmp_path):
    """A key is read when its command ends, and child processes in its process group are killed."""
    has_left = start.startswith("setsid")
    if has_left and shutil.which("setsid") is None:
        pytest.skip("needs setsid")
    command = f"{start}\nuntil test -s child; do sleep 0.01; done; echo {_KEY}"

    assert _sources(directory=tmp_path, command=command).read("K") == _KEY

    child = int((tmp_path / "child").read_text())
    if has_left:
        os.kill(child, signal.SIGKILL)
    until(lambda: not _is_running(child))


async def test_the_loop_turns_while_a_key_is_read(tmp_path):
    """A key command does not block the event loop."""
    sources = _sources(directory=tmp_path, command=f"touch begun; until test -e go; do sleep 0.01; done; {_PRINT}")

    reading = asyncio.create_task(sources.obtain("K"))
    await asyncio.to_thread(until, (tmp_path / "begun").exists)
    (tmp_path / "go").touch()

    assert await reading == _KEY
    (tmp_path / "go").unlink()
    assert await sources.obtain("K") == _KEY  # from the cache, without the command
    assert await _sources({"K": "of-the-environment"}).obtain("K") == "of-the-environment"


async def test_a_command_is_ended_when_nobody_waits_for_it(tmp_path):
    """A cancelled run ends its key command."""
    reading = asyncio.create_task(_sources(directory=tmp_path, command="echo $$ > shell; sleep 600").obtain("K"))
    await asyncio.to_thread(
        until, lambda: (tmp_path / "shell").exists() and (tmp_path / "shell").read_text().strip() != ""
    )

    reading.cancel()

    shell = int((tmp_path / "shell").read_text())
    await asyncio.to_thread(until, lambda: not _is_running(shell))


def _is_running(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_key_file_is_read_by_its_first_line(tmp_path, caplog):
    """The first line of a key file is the key; a file readable by others is reported once."""
    path = tmp_path / "key"
    path.write_text(f"{_KEY}\nnot this\n")
    for mode, reported in ((0o600, []), (0o644, ["key_file_readable_by_others"])):
        path.chmod(mode)
        caplog.clear()
        sources = _sources(directory=tmp_path, file="key")
        with caplog.at_level(logging.WARNING):
            assert [sources.read("K"), await sources.obtain("K", refresh=True)] == [_KEY, _KEY]
        assert [record.msg for record in caplog.records] == reported


@pytest.mark.parametrize("name", ["missing", "directory", "empty"])
def test_a_key_file_without_a_key_is_reported(name, tmp_path):
    """A key file that is empty or unreadable is reported with its variable."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "empty").touch(mode=0o600)

    with pytest.raises(ApiKeyMissing, match="key file") as raised:
        _sources(directory=tmp_path, file=name).read("K")

    assert "for K" in raised.value.message
    assert str(tmp_path / name) in raised.value.message or name == "empty"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pipe", "/pipe for K .* cannot be read: it is not a regular file; .* `command`"),
        ("/dev/zero", "^The key file /dev/zero for K .*: it is not a regular file"),
        ("~nobody-of-this-name/key", "~nobody-of-this-name/key for K .* cannot be read: Could not determine"),
        ("with\0in", "cannot be read: embedded null byte"),
    ],
)
def test_what_is_no_file_is_not_waited_for(name, says, tmp_path):
    """A pipe without a writer, an endless device and an unknown home folder are rejected at once, by name."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ApiKeyMissing, match=says):
        _sources(directory=tmp_path, file=name).read("K")


def test_a_mark_at_the_beginning_of_a_key_file_is_no_part_of_the_key(tmp_path):
    """A byte-order mark at the beginning of a key file is ignored."""
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbf" + _KEY.encode() + b"\r\n")

    assert _sources(directory=tmp_path, file="key").read("K") == _KEY


@pytest.mark.parametrize("line", [f"K={_KEY}", f"export OPENAI_API_KEY='{_KEY}'", f'some_token = "{_KEY}"'])
def test_a_line_of_a_shell_is_no_key(line, tmp_path):
    """A shell assignment is rejected as a key, whereas a key that ends in padding is accepted."""
    (tmp_path / "key").write_text(line)

    with pytest.raises(
        ApiKeyMissing, match=r"^The content of the key file for K begins with \w+=; leave the key alone"
    ) as raised:
        _sources(directory=tmp_path, file="key").read("K")

    assert _KEY not in raised.value.message
    assert _sources({"K": "MY_KEY=="}).read("K") == "MY_KEY=="
    assert _sources({"K": "dGVzdA=x"}).read("K") == "dGVzdA=x"


def test_headers_take_their_values_from_the_environment():
    """A host gets its own headers only; a missing or invalid variable is named."""
    headers = {"a.example": {"X-Secret": "S"}, "b.example:8000": {"X-Other": "O"}, "c.example": {"X-Odd": "ODD"}}
    sources = KeySources(headers=headers, environ={"S": " value\n", "ODD": "two\nlines-of-it"})

    assert sources.headers("a.example") == {"X-Secret": "value"}
    assert sources.headers("elsewhere.example") == {}
    with pytest.raises(SettingsError, match=r"X-Other for b\.example:8000 takes its value from O, which is not set"):
        sources.headers("b.example:8000")
    with pytest.raises(SettingsError, match="The value of ODD cannot be sent as the header X-Odd") as raised:
        sources.headers("c.example")
    assert "lines-of-it" not in raised.value.message


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("Gate.example:8000", "gate.example:8000"),
        ("gate.example", "GATE.example"),
        ("gate.example", "gate.example."),
        ("gate.example.:8000", "gate.example:8000"),
        ("[::1]:8000", "[::1]:8000"),
    ],
)
def test_a_host_is_the_same_however_it_is_written(written, host):
    """Hosts match without regard to case and a trailing dot, but the port counts."""
    sources = KeySources(headers={written: {"X-Secret": "S"}}, environ={"S": "value"})

    assert sources.headers(host) == {"X-Secret": "value"}
    assert sources.headers(f"{host.partition(':8000')[0]}:9000") == {}


@pytest.mark.parametrize(
    ("host", "header", "variable", "says"),
    [
        ("h", "X Y", "S", "'X Y' is not a valid header name"),
        ("h", "", "S", "'' is not a valid header name"),
        ("h", "Host", "S", "'Host' is set by the connection itself"),
        (
            "h",
            "X-Secret",
            "hunter-2",
            "The header X-Secret for h in backstay.toml is wrong: name the environment variable",
        ),
        ("h", "X-Secret", "", "name the environment variable"),
        ("https://h", "X-Secret", "S", "name the host alone"),
        ("", "X-Secret", "S", "name the host alone"),
    ],
)
def test_headers_of_the_settings_are_checked_before_they_are_needed(host, header, variable, says):
    """Invalid header settings are rejected when they are read, without showing a value that may be secret."""
    with pytest.raises(SettingsError, match=says) as raised:
        KeySources(headers={host: {header: variable}})

    assert "hunter" not in raised.value.message


def test_the_environment_of_the_process_is_read_when_it_is_asked(monkeypatch):
    """A variable that is set after the start of the process is read."""
    sources = KeySources()
    monkeypatch.setitem(os.environ, "SOME_KEY_OF_A_TEST", _KEY)

    assert sources.read("SOME_KEY_OF_A_TEST") == _KEY
