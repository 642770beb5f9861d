"""Commands in a folder, or an environment, that an earlier version was used in under the project's former name."""

from backstay.former_name import NAME


def test_no_command_begins_a_new_library_next_to_a_former_one(within, backstay):
    """Running a file where a library of the former name is fails with one line, and makes nothing."""
    former = backstay.folder / f".{NAME}"
    former.mkdir()
    (former / f"{NAME}.db").touch()
    backstay.write("topics.csv", "Gardens")

    ended = within("run", "topics.csv", "--model", "scripted")

    assert ended.code == 2
    assert f"{former} is a library that this version does not read" in ended.one_line_error()
    assert not (backstay.folder / ".backstay").exists()
    assert within("--database", "new.db", "run", "topics.csv", "--model", "scripted").code == 0


def test_doctor_names_a_variable_of_the_former_name(within, monkeypatch):
    """`backstay doctor` reports a variable that is set under its former name as a problem."""
    monkeypatch.setenv(f"{NAME.upper()}_OWNER", "team")

    ended = within("doctor")

    assert ended.code == 1
    assert "Set BACKSTAY_OWNER instead" in ended.out
