"""Text in other encodings than UTF-8."""

import io
import tracemalloc

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backstay.errors import InputUnreadable, SettingsError
from backstay.readers import ReadOptions, read_rows
from backstay.readers.input_errors import InputErrors
from backstay.readers.input_notes import InputNotes
from backstay.readers.transcoding import to_utf8
from backstay.remedy import Remedy

_ENCODINGS = ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-32-be", "shift_jis", "gb18030", "utf-8-sig", "utf-7"]


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\ufeff")), size=st.integers(1, 9), data=st.data())
def test_text_in_any_encoding_becomes_the_same_utf8(trickle, text, size, data):
    """Text is converted unchanged, however its bytes arrive."""
    encoding = data.draw(st.sampled_from(_ENCODINGS))
    text = text.encode(encoding, "ignore").decode(encoding)
    assume(encoding.startswith("utf-") or not _is_utf8(text.encode(encoding)))

    stream = to_utf8(trickle(text.encode(encoding), size), encoding, InputErrors("made up"))

    assert stream.read() == text.removeprefix("\ufeff").encode()


def _is_utf8(raw: bytes) -> bool:
    try:
        return not raw.decode().isascii()
    except UnicodeDecodeError:
        return False


@pytest.mark.parametrize("encoding", _ENCODINGS)
@pytest.mark.parametrize(
    ("name", "template"),
    [("a.csv", "topic,x\n{0},1\n"), ("a.jsonl", '{{"topic": "{0}"}}\n'), ("a.json", '[{{"topic": "{0}"}}]'),
     ("a.txt", "{0}\n"), ("a", '{{"topic": "{0}"}}')],
)  # fmt: skip
def test_every_format_is_read_in_every_encoding(tmp_path, name, template, encoding):
    """Each format of text is read in the encoding that the caller names."""
    topic = {"shift_jis": "お茶", "gb18030": "茶"}.get(encoding, "Größe é")
    (tmp_path / name).write_bytes(template.format(topic).encode(encoding))

    rows = list(read_rows(tmp_path / name, options=ReadOptions(encoding=encoding)))

    assert [row.values["topic"] for row in rows] == [topic]


def test_a_byte_order_mark_overrides_the_named_encoding(tmp_path):
    """Text with a byte order mark is read as marked, and this is noted."""
    (tmp_path / "a.csv").write_bytes("topic\nGröße\n".encode("utf-16"))
    notes = []

    rows = read_rows(tmp_path / "a.csv", options=ReadOptions(encoding="cp1252"), notes=InputNotes(notes.append))

    assert [row.values for row in rows] == [{"topic": "Größe"}]
    assert notes == [f"{tmp_path / 'a.csv'}: the text is UTF-16."]


@pytest.mark.parametrize(("encoding", "content"), [("utf-16-le", "topic\nTea\n"), ("utf-16-be", '{"topic": "Tea"}\n')])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a"])
def test_utf16_without_a_mark_is_recognised_but_not_read(refusal, name, encoding, content):
    """UTF-16 without a byte order mark is refused with the name of the encoding to pass."""
    error = refusal(name, content.encode(encoding))

    assert isinstance(error, InputUnreadable)
    assert error.message.endswith("this looks like UTF-16 text without a byte order mark")
    assert (error.remedy, error.context["encoding"]) == (Remedy.NAME_ENCODING, encoding)


@pytest.mark.parametrize(
    ("raw", "is_western"),
    [("Größe", True), ("“Zoë’s café” — 5 €", True), ("Привет", False), ("お茶", False), ("\x81", False)],
)
def test_only_western_text_is_taken_for_cp1252(refusal, raw, is_western):
    """An error about text that is not UTF-8 names cp1252 only where the text looks Western."""
    encodings = {"Привет": "cp1251", "お茶": "shift_jis", "\x81": "latin-1"}
    error = refusal("a.csv", b"topic\nTea\n" + raw.encode(encodings.get(raw, "cp1252")) + b"\n")

    assert ("line 3: not UTF-8 text, but probably cp1252" in error.message) == is_western
    assert error.remedy is Remedy.NAME_ENCODING


@pytest.mark.parametrize(
    ("encoding", "content", "line"),
    [
        ("utf-16", "topic\nTea\n".encode("utf-16") + b"x", 3),
        ("ascii", b"topic\nTea\n\xff\n", 3),
        ("cp1252", b"topic\nTea\n\n\x81\n", 4),
        ("shift_jis", b"topic\n" + b"x" * 300_000 + b"\n\x81", 3),
    ],
)
def test_text_that_is_not_in_the_named_encoding_is_refused(tmp_path, encoding, content, line):
    """Text in another encoding than the named one is refused with its line."""
    (tmp_path / "a.csv").write_bytes(content)

    with pytest.raises(InputUnreadable, match=rf"line {line}: not .* text") as caught:
        list(read_rows(tmp_path / "a.csv", options=ReadOptions(encoding=encoding)))

    assert caught.value.context["line"] == line


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "koi8-r"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.txt"])
def test_utf8_is_not_read_in_another_encoding(tmp_path, name, encoding):
    """Valid UTF-8 text is refused in another encoding, which would garble it, unless it is ASCII."""
    template = {"a.csv": "topic\n{0}\n", "a.txt": "{0}\n"}.get(name, '[{{"topic": "{0}"}}]')
    path, options = tmp_path / name, ReadOptions(encoding=encoding)
    path.write_text(template.format("Gruss"), encoding="utf-8")
    plain = [row.values for row in read_rows(path, options=options)]
    path.write_text(template.format("Grüße"), encoding="utf-8")

    with pytest.raises(InputUnreadable) as caught:
        list(read_rows(path, options=options))

    assert plain == [{"topic": "Gruss"}]
    assert caught.value.message == f"{path}: the text is UTF-8, which {encoding} would garble"
    assert caught.value.remedy is Remedy.CORRECT_ENCODING


def test_utf8_with_bytes_that_the_named_encoding_lacks_is_recognised(tmp_path):
    """The error about bytes that the named encoding does not have says if the text before them is UTF-8."""
    (tmp_path / "a.csv").write_text("topic\nTea\n“Zoë’s”\n", encoding="utf-8")

    with pytest.raises(InputUnreadable, match="line 3: not cp1252 text, but probably UTF-8; leave the encoding out"):
        list(read_rows(tmp_path / "a.csv", options=ReadOptions(encoding="cp1252")))


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("cp1253x", "; did you mean cp1253?"), ("windws-1252", "; did you mean windows_1252?"), ("zip", ""), ("\0", "")],
)
def test_unknown_encodings_are_refused(name, suggestion):
    """A name that no text encoding has is refused, with the nearest known one."""
    with pytest.raises(SettingsError) as caught:
        ReadOptions(encoding=name)

    assert caught.value.message == f"Unknown encoding {name!r}{suggestion}"


def test_memory_stays_flat_while_text_is_converted(tmp_path):
    """Reading twenty megabytes of UTF-16 needs only constant memory."""
    (tmp_path / "a.csv").write_bytes(("topic\n" + ("x" * 499 + "\n") * 20_000).encode("utf-16"))
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_rows(tmp_path / "a.csv"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 20_000
    assert peak < 4_000_000


def test_standard_input_is_converted_too():
    """Standard input is read in the named encoding."""
    rows = read_rows(None, stdin=io.BytesIO("topic\nGröße\n".encode("cp1252")), options=ReadOptions(encoding="cp1252"))

    assert [row.values for row in rows] == [{"topic": "Größe"}]
