"""The original's values and files."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from backstay.errors import InputError, InputUnreadable, InvalidRow
from backstay.legacy import service, value_rules
from backstay.legacy.backup_file import LegacyFile, candidate_paths
from backstay.legacy.conversion import convert_row, to_record
from backstay.legacy.store import LegacyElement
from backstay.readers.input_errors import InputErrors
from backstay.readers.row import InputRow

ORIGIN = InputErrors("file.json")
SINCE = datetime(2025, 11, 4, 10, 0, tzinfo=UTC)
TURN = {"id": "t", "role": "user", "content": "Hello"}


def whole(*conversations, **more):
    return {"version": "1.0", "createdAt": "2025-11-04T10:00:00.000Z", "conversations": list(conversations), **more}


def read(data):
    """Read a file to its end."""
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    file = LegacyFile(Path("file.json"), io.BytesIO(text))
    return [row.values for row in file.conversations()], file.created_at


def converted(**fields):
    return convert_row(InputRow(3, {"id": "c", "conversation_turns": [TURN], **fields}), ORIGIN, SINCE)


# -- checkpoints ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("progress", "items", "finished"),
    [
        (["40"], 4, False),
        (["100"], 4, True),
        (["100"], 0, True),
        (["100.0"], 198, True),
        (["100"], 199, False),  # of 200: 99.5, which is rounded up
        (["40", "100"], 4, True),
        ([None], 4, False),
        (["soon"], 4, False),
        (["NaN"], 4, False),
        ([], 4, False),
    ],
)
def test_a_hundred_percent_is_believed_where_rounding_cannot_say_it(progress, items, finished):
    """A checkpoint at 100 percent counts as finished unless rounding could hide an unfinished item."""
    assert value_rules.is_finished(progress, items) is finished


def test_rounding_never_hides_an_item_of_what_is_believed():
    """A checkpoint that counts as finished never has an unfinished item, for every size and the original's rounding."""
    for planned in range(1, 2_000):
        completed = planned - 1
        percentage = int(100 * completed / planned + 0.5)
        assert not value_rules.is_finished([str(percentage)], completed), planned


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (LegacyElement("null", None, None), "completed_items[7] is null"),
        (LegacyElement(None, None, None), "completed_items[7] is an object without an id"),
        (LegacyElement("array", "[]", None), "completed_items[7] is an array"),
        (LegacyElement("object", "{}", None), "completed_items[7] is an object"),
        (LegacyElement("boolean", "true", None), "completed_items[7] is true or false"),
        (LegacyElement("number", "1.5", None), "completed_items[7] is a number that is not whole"),
        (LegacyElement("number", "1e5", None), "completed_items[7] is a number that is not whole"),
        (LegacyElement("string", "", None), "the id at completed_items[7] is empty"),
        (LegacyElement("string", "x" * 1000, None), "the id at completed_items[7] is longer than 512"),
        (
            LegacyElement("string", "a\nb", None),
            "the id at completed_items[7] has a control character or a line break; remove it",
        ),
    ],
)
def test_what_is_no_id_is_named_with_its_place(element, reason):
    """An invalid id is named with its index from 0."""
    with pytest.raises(InputUnreadable) as caught:
        value_rules.settled_items([LegacyElement("string", "fine", None), element], 6, has_failed=False)

    assert reason in caught.value.message


def test_failed_items_have_a_reason():
    """A failed item has the recorded error, or a text that says there is none."""
    result = value_rules.settled_items(
        [LegacyElement("number", "5", "late"), LegacyElement("string", "a", None)], 0, has_failed=True
    )

    assert result == [("5", "late"), ("a", value_rules.NO_REASON)]


# -- records of backups --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-11-04T10:00:00.000Z", SINCE),
        ("2025-11-04 12:00:00+02", SINCE),
        ("2025-11-04T10:00:00", SINCE),
        ("infinity", None),
        (None, None),
    ],
)
def test_expiry_is_read_as_columns_of_any_kind_have_it(text, moment):
    """An expiry is parsed from any type of column, as UTC without an offset; some backups never expire."""
    assert value_rules.expiry_time(text) == moment


@pytest.mark.parametrize("text", ["soon", "1762250400000", "", "9999-12-31T23:59:59-23:59", "20251104T"])
def test_what_is_no_time_is_no_expiry(text):
    """An invalid expiry counts as none."""
    with pytest.raises(InputUnreadable, match="its expires_at is not a time"):
        value_rules.expiry_time(text)


def test_a_backup_is_as_old_as_its_id():
    """A backup without a recorded time has the time in its id."""
    assert value_rules.creation_time(None, "backup-1730720400123-a") == datetime(
        2024, 11, 4, 11, 40, 0, 123000, tzinfo=UTC
    )
    with pytest.raises(InputUnreadable):
        value_rules.creation_time(None, "backup-9999999999999999-a")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bulk_delete", "bulk_delete"),
        (None, "legacy_backup"),
        (" \n", "legacy_backup"),
        ("a\nb", "a b"),
        ("x" * 200, "x" * 100),
    ],
)
def test_a_reason_is_one_line(text, reason):
    """An imported reason is one line of the allowed length."""
    assert value_rules.reason(text) == reason


def test_a_difference_is_named():
    """A difference is named with a few examples."""
    expected, actual = {"a", "b", "c", "d", "e"}, {"a"}

    assert value_rules.describe_difference(expected, expected) is None
    assert (
        value_rules.describe_difference(expected, actual)
        == "its file lacks conversations of its conversation_ids: b, c, d and 1 more"
    )
    assert "not among its conversation_ids: b" in str(value_rules.describe_difference(actual, {"a", "b"}))


def test_a_file_is_looked_for_where_it_may_be():
    """A backup file is searched under the backup folder first, then at its recorded path."""
    result = candidate_paths("backup-1-a", "/srv/app/backups/backup-1-a.json", Path("/var/backups"))

    assert [str(path) for path in result] == [
        "/var/backups/backup-1-a.json",
        "/var/backups/backups/backup-1-a.json",
        "/var/backups/srv/app/backups/backup-1-a.json",
        "/srv/app/backups/backup-1-a.json",
    ]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/backups/backup-2-b.json", "../backup-1-a.json", "/x\0/backup-1-a.json", ""]
)
def test_a_record_names_no_other_file(path):
    """A record cannot name a file other than its own backup's."""
    with pytest.raises(InputUnreadable, match=r"does not end in backup-1-a\.json"):
        candidate_paths("backup-1-a", path, Path("/var/backups"))


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 0, 2, "\t"])
def test_a_file_is_read_however_it_is_laid_out(indent):
    """A backup file is read on one line or many, with keys in any order and unknown keys."""
    document = {"conversations": [{"id": "a", "n": [1, {"x": "]}"}]}, {"id": "b"}], "more": {"a": []}, **whole()}
    document["conversations"] = [{"id": "a", "n": [1, {"x": "]}"}]}, {"id": "b"}]

    assert read(json.dumps(document, indent=indent).encode()) == (document["conversations"], "2025-11-04T10:00:00.000Z")


class Dripping(io.BytesIO):
    """Stream that returns one byte at a time."""

    def read1(self, _=-1, /):
        return super().read(1)


def test_a_file_may_come_in_pieces():
    """A file that arrives in pieces is parsed across their ends, within numbers, texts and escapes."""
    document = {"a": -12.5e3, "b": [True, None], "c": 'x\\"y', "conversations": [{"id": "ü"}], "d": 1}
    document = {"version": "1.0", **document}
    data = json.dumps(document, indent=1).encode()

    result = [row.values for row in LegacyFile(Path("file.json"), Dripping(data)).conversations()]

    assert result == [{"id": "ü"}]


def test_a_truncated_file_is_refused_at_every_length():
    """A file that is truncated at any length, or continues after its end, is refused."""
    data = json.dumps(whole({"id": "a", "conversation_turns": [TURN]}, {"id": "ü"}), ensure_ascii=False).encode()

    for length in range(len(data)):
        with pytest.raises(InputError):
            read(data[:length])
    for more in (b"}", b"{}", b"x", b"\0"):
        with pytest.raises(InputError):
            read(data + more)
    assert read(data + b" \n")[0] == [{"id": "a", "conversation_turns": [TURN]}, {"id": "ü"}]


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"{}",
        b"null",
        b'"text"',
        b"\xff\xfe{",
        b'{"version":"1.0"}',
        b'{"version":"2.0","conversations":[]}',
        b'{"version":1.0,"conversations":[]}',
        b'{"conversations":[]}',
        b'{"version":"1.0","conversations":{}}',
        b'{"version":"1.0","conversations":[1]}',
        b'{"version":"1.0","conversations":[{},]}',
        b'{"version":"1.0","conversations":[{"a":1e400}]}',
        b'{"version":"1.0","conversations":[{"a":12345678901234567890123}]}',
        b'{"version":"1.0","conversations":[{"a":"\\ud800"}]}',
        b'{"version":"1.0","conversations":[{"a":"\xff"}]}',
        b'{"version":"1.0","conversations":[],"conversations":[]}',
        b'{"version":"1.0","version":"1.0","conversations":[]}',
        b'{"version":"1.0","conversations":[],}',
        b'{"version" "1.0","conversations":[]}',
        b'{version:"1.0","conversations":[]}',
        b'{"version":"1.0","x":nul,"conversations":[]}',
        b'{"version":"1.0","x":' + b"1" * 5_000 + b"e,",
        b'{"version":"1.0","conversations":[' + b'{"a":' * 2_000,
    ],
)
def test_what_is_no_backup_of_the_original_is_refused(data):
    """A file that is no backup of the original is refused in one line without its content."""
    with pytest.raises(InputError) as caught:
        read(data)

    assert "\n" not in caught.value.message


# -- conversations ---------------------------------------------------------------------------------------------------


def test_nothing_that_a_conversation_says_is_lost():
    """Fields without a built-in column become metadata of the conversation or the turn."""
    turn = {**TURN, "sequence": 1, "token_count": 9}
    result = converted(
        conversation_turns=[turn], title="T", content={"blocks": []}, metadata={"own": 1}, tags=[1], updated_at=None
    )

    assert result["metadata"] == {"content": {"blocks": []}, "own": 1, "title": "T", "tags": [1]}
    assert (result["content"], result["created_at"]) == (None, "2025-11-04T10:00:00.000000Z")
    assert result["conversation_turns"] == [
        {"id": "t", "sequence": 1, "role": "user", "content": "Hello", "metadata": {"token_count": 9}}
    ]
    assert list(result) == sorted(result)


def test_turns_stand_in_the_order_of_their_numbers():
    """Turns are numbered from 1 without gaps, and their original numbers are kept."""
    turns = [{**TURN, "content": str(number), "sequence": number} for number in (4, 0, 2)]

    result = converted(conversation_turns=turns)["conversation_turns"]

    assert [(turn["sequence"], turn["content"], turn["metadata"]) for turn in result] == [
        (1, "0", {"sequence": 0}),
        (2, "2", {}),
        (3, "4", {"sequence": 4}),
    ]


@pytest.mark.parametrize("missing", [{}, {"sequence": None}, {"sequence": "x"}])
def test_a_number_is_kept_beside_a_turn_without_one(missing):
    """A turn's number is kept even if another turn has none; then the turns keep their order."""
    result = converted(conversation_turns=[{**TURN, "sequence": 5}, {**TURN, **missing}])["conversation_turns"]

    assert [turn["metadata"].get("sequence") for turn in result] == [5, missing.get("sequence")]


def test_a_time_without_an_offset_is_utc():
    """A time without an offset is UTC on every machine."""
    result = converted(created_at="2025-11-01 09:30:00.5", updated_at="2025-11-01T09:30:00+02:00")

    assert result["created_at"] == "2025-11-01T09:30:00.500000Z"
    assert result["updated_at"] == "2025-11-01T07:30:00.000000Z"


@pytest.mark.parametrize(
    "value",
    [
        {"id": None},
        {"id": ""},
        {"id": "x" * 600},
        {"id": ["a"]},
        {"conversation_turns": []},
        {"conversation_turns": None},
        {"conversation_turns": ["text"]},
        {"conversation_turns": [{"role": "user", "content": None}]},
        {"conversation_turns": [{"role": "user", "content": " "}]},
        {"conversation_turns": [{"role": "", "content": "x"}]},
        {"conversation_turns": [{"role": "user", "content": "a\0b"}]},
        {"conversation_turns": [{**TURN, "sequence": 5, "metadata": {"sequence": 6}}]},
        {"title": 1, "metadata": {"title": 2}},
        {"topic": "a\0b"},
    ],
)
def test_what_cannot_be_kept_is_named_by_its_line(value):
    """A conversation that cannot be stored is named by its line and never by its text."""
    with pytest.raises(InputError, match="line 3"):
        converted(**value)


def test_a_record_is_the_same_whenever_it_is_made():
    """A record has the same line and digest each time it is converted."""
    item, other = (to_record(converted(z=1, a={"y": 1, "b": 2}), path) for path in (7, 8))

    assert (item.line, item.digest, item.turns, item.key) == (other.line, other.digest, 1, 7)


def test_an_element_is_named_by_its_number_in_the_array():
    """The number of an unusable id counts all elements before it, including repeated ones."""
    good, bad = LegacyElement("string", "c1", None), LegacyElement("null", None, None)
    tables = SimpleNamespace(conversation_ids=lambda _: (chunk for chunk in ([good, good], [bad])))

    with pytest.raises(InputUnreadable, match=r"^conversation_ids\[2\] is null"):
        service._recorded_ids(tables, "backup-1-a")


def test_row_with_two_conversations_is_refused():
    """A row that would become two conversations, such as a preference, is refused."""
    with pytest.raises(InvalidRow, match="line 3: two conversations in one row"):
        convert_row(InputRow(3, {"id": "c", "prompt": "Q", "chosen": "A", "rejected": "B"}), ORIGIN, SINCE)
