"""Commands where a library or a variable of the former name exists."""

from backstay.former_name import NAME


def test_no_command_begins_a_new_library_next_to_a_former_one(within, backstay):
    """`run` next to a library of the former name fails with one line and creates nothing."""
    former = backstay.folder / f".{NAME}"
    former.mkdir()
    (former / f"{NAME}.db").touch()
    backstay.write("topics.csv", "Gardens")

    ended = within("run", "topics.csv", "--model", "scripted")

    assert ended.code == 2
    assert f"{former} is a library of " in ended.one_line_error()
    assert not (backstay.folder / ".backstay").exists()
    assert within("--database", "new.db", "run", "topics.csv", "--model", "scripted").code == 0


def test_doctor_names_a_variable_of_the_former_name(within, monkeypatch):
    """`backstay doctor` reports a variable that is set under its former name as a problem."""
    monkeypatch.setenv(f"{NAME.upper()}_OWNER", "team")

    ended = within("doctor")

    assert ended.code == 1
    assert "Set BACKSTAY_OWNER instead" in ended.out


def test_doctor_names_each_variable_of_the_former_name(within, monkeypatch):
    """`backstay doctor` warns of a variable of the former name that only another command would refuse."""
    monkeypatch.setenv(f"{NAME.upper()}_PORT", "9000")

    assert f"{NAME.upper()}_PORT is a variable of " in within("doctor").out


def test_a_processor_of_the_former_name_is_refused(within, backstay):
    """A processor that imports the former name is refused without a suggestion to install that package."""
    (backstay.folder / "old.py").write_text(f"from {NAME} import Conversation\n")
    backstay.write("topics.csv", "Gardens")

    ended = within("run", "topics.csv", "--processor", "old:write")

    assert ended.code == 2
    assert "imports " + NAME + ", the former name of Backstay; import backstay instead" in ended.one_line_error()
