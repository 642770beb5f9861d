"""`backstay conversations keep`, `reject`, `rate`, `tag` and `note`, and the options that select by reviews."""

import json

import pytest

from backstay.library.review import Review

HOSTILE = "<b>\u202e'; --"


@pytest.fixture
def ids(within, backstay):
    """Create three conversations of one job and one of another; return their ids by topic."""
    within("run", backstay.write("topics.csv", "Gardens", "Bridges", "Tea"), "--model", "scripted")
    within("run", backstay.write("other.csv", "Cards"), "--model", "scripted")
    return {item["topic"]: item["id"] for item in within("conversations", "list", "--json").json["conversations"]}


def _topics(within, *conditions):
    return {item["topic"] for item in within("conversations", "list", *conditions, "--json").json["conversations"]}


def test_conversations_are_reviewed_and_shown(within, ids):
    """Each command sets its field and says how many it changed; `show` and `list` print the review."""
    gardens = ids["Gardens"]

    kept = within("conversations", "keep", gardens, "--reviewer", "Ann")
    rated = within("conversations", "rate", "4", "--job", "topics", "--reviewer", "Ann")
    again = within("conversations", "rate", "4", gardens, ids["Cards"])
    within("conversations", "tag", "--add", "good", "--add", HOSTILE, gardens)
    noted = within("conversations", "note", "Line\n<i>two</i>", gardens, "--reviewer", "Ann", "--json")
    shown = within("conversations", "show", gardens)
    listed = [line for line in within("conversations", "list").out.splitlines() if line.startswith(gardens)]
    review = within("conversations", "show", gardens, "--json").json["review"]
    del review["digest"]

    assert (kept.out, rated.out) == ("1 conversation kept.\n", "3 conversations rated 4.\n")
    assert again.out == "1 conversation rated 4, 1 needed no change.\n"
    assert noted.json == {"changed": 1, "unchanged": 0}
    assert "status    kept\nrating    4\ntag       <b>'; --\ntag       good\nnote      Line <i>two</i>\n" in shown.out
    assert " by Ann\n" in shown.out
    assert listed[0].endswith("\tkept, rated 4, <b>'; --, good")
    assert review.pop("reviewedAt").endswith("Z")
    assert review == {
        "status": "kept", "rating": 4, "tags": [HOSTILE, "good"], "note": "Line\n<i>two</i>", "reviewer": "Ann",
    }  # fmt: skip


def test_reviews_select(within, ids):
    """Every condition on reviews selects, in lists, exports and backups."""
    within("conversations", "keep", ids["Gardens"])
    within("conversations", "reject", ids["Tea"])
    within("conversations", "rate", "2", ids["Tea"], ids["Bridges"])
    within("conversations", "tag", "--add", "a", "--add", "b", ids["Tea"])
    within("conversations", "tag", "--add", "a", ids["Cards"])

    exported = within("conversations", "export", "--kept", "--format", "native").out

    assert _topics(within, "--unreviewed") == {"Bridges", "Cards"}
    assert _topics(within, "--kept") == {"Gardens"}
    assert _topics(within, "--rejected") == {"Tea"}
    assert _topics(within, "--rating-below", "3") == {"Tea", "Bridges"}
    assert _topics(within, "--rating-from", "3") == set()
    assert _topics(within, "--tag", "a", "--tag", "b") == {"Tea"}
    assert _topics(within, "--untagged") == {"Gardens", "Bridges"}
    assert _topics(within, "--unrated") == {"Gardens", "Cards"}
    within("conversations", "note", "Ask for a source", ids["Tea"], "--reviewer", "Ann")
    assert _topics(within, "--note-contains", "SOURCE") == _topics(within, "--reviewed-by", "Ann") == {"Tea"}
    assert [json.loads(line)["topic"] for line in exported.splitlines()] == ["Gardens"]
    assert within("backups", "create", "--rejected", "--json").json["conversationCount"] == 1
    assert within("conversations", "delete", "--rejected", "--yes").out == "1 conversation deleted.\n"
    assert _topics(within) == {"Gardens", "Bridges", "Cards"}


def test_a_list_by_review_names_its_next_page(within, ids):
    """The command for the next page repeats the conditions on reviews."""
    within("conversations", "tag", "--add", "two words", "--job", "topics")

    page = within("conversations", "list", "--unreviewed", "--tag", "two words", "--limit", "1")

    words = "conversations list --unreviewed '--tag=two words' --limit=1 --before="
    assert page.err.startswith(f"1 of 3 conversations.\nNext page: backstay {words}")


def test_a_review_is_taken_back(within, ids):
    """A status, a rating, tags and a note are removed again, and the conversation has no review then."""
    tea = ids["Tea"]
    for words in (["reject"], ["rate", "1"], ["tag", "--add", "a"], ["note", "x"]):
        within("conversations", *words, tea)

    undone = within("conversations", "reject", "--undo", tea)
    for words in (["rate", "none"], ["tag", "--clear"], ["note", ""]):
        within("conversations", *words, tea)

    assert undone.out == "1 conversation marked as unreviewed.\n"
    assert within("conversations", "show", tea, "--json").json["review"] == {
        "status": "unreviewed", "rating": None, "tags": [], "note": None, "reviewer": None, "reviewedAt": None,
        "digest": Review().digest(),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["keep"], "Nothing is selected; give ids, --job or another condition, or --all"),
        (
            ["keep", "none"],
            "Conversation 'none' not found, so nothing was changed; `backstay conversations list` shows",
        ),
        (["keep", "--job", "none"], "Job 'none' not found"),
        (["keep", "--all"], "All 4 conversations will be kept. Continue? There is no terminal"),
        (["rate", "6", "x"], "The rating '6' is not a whole number from 1 to 5, nor none"),
        (["rate", "true", "x"], "The rating 'true' is not a whole number from 1 to 5, nor none"),
        (["tag", "x"], "Name a tag with --add or --remove, or remove all with --clear"),
        (["tag", "--add", "a\nb", "x"], "The tag 'a\\nb' has a line break or a control character; remove it"),
        (["tag", "--add", "a" * 101, "x"], "has 101 characters, and 100 is the maximum; shorten it"),
        (["note", "x" * 10_001, "x"], "The note has 10,001 characters, and 10,000 is the maximum; shorten it"),
        (["keep", "--kept", "--rejected"], "No conversation is both kept and rejected; choose one"),
        (["keep", "--untagged", "--tag", "a"], "Untagged conversations have no tags"),
        (["keep", "--unrated", "--rating-from", "2"], "Unrated conversations have no rating"),
        (["keep", "--job", "topics", "--reviewer", ""], "The name of the reviewer is empty"),
    ],
)
def test_wrong_use_is_refused(within, ids, words, message):
    """Wrong use is refused in one line that names it, and nothing is changed."""
    refused = within("conversations", *words)

    assert refused.code in (1, 2)
    assert message in refused.err
    assert refused.err.count("\n") == 1
    assert _topics(within, "--unreviewed", "--untagged") == {"Gardens", "Bridges", "Tea", "Cards"}


def test_all_need_a_confirmation(within, ids):
    """With --yes, all conversations are reviewed; a selection without matches is no error."""
    assert within("conversations", "keep", "--all", "--yes").out == "4 conversations kept.\n"
    assert within("conversations", "keep", "--rejected").out == "No matching conversations.\n"
