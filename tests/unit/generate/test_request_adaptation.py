"""Adaptation of requests to what an endpoint's error responses say."""

import pytest

from backstay.generate.providers.provider import Structure
from backstay.generate.request_adaptation import Adaptation


@pytest.fixture
def adaptation():
    return Adaptation(list(Structure))


def test_answers_of_another_shape_are_asked_for_in_a_plainer_way(adaptation):
    """Eight unusable answers in a row make all requests use a simpler structure or, with the last one, a hint."""
    for number in range(24):
        assert len(adaptation.structures) == 3 - number // 8 if number < 16 else 1
        adaptation.learn_unusable_answer(adaptation.structures[0], "assistant_1 was missing")

    assert adaptation.structures == [Structure.TEXT]
    assert adaptation.hint == "assistant_1 was missing"


def test_a_refused_structure_is_not_asked_for_again(adaptation):
    """Of several calls that report the same rejected structure, only the first one counts as a change."""
    assert adaptation.drop_structure(Structure.SCHEMA)
    assert adaptation.drop_structure(Structure.SCHEMA)

    assert adaptation.structures == [Structure.JSON, Structure.TEXT]


def test_the_last_structure_stays(adaptation):
    """The last structure is never dropped, since there is no simpler one."""
    assert adaptation.drop_structure(Structure.SCHEMA)
    assert adaptation.drop_structure(Structure.JSON)
    assert not adaptation.drop_structure(Structure.TEXT)

    assert adaptation.structures == [Structure.TEXT]


def test_the_plainest_structure_stays_while_others_do(adaptation):
    """An item rejected with each structure does not remove the last structure, which other items may need."""
    assert not adaptation.drop_structure(Structure.TEXT)

    assert adaptation.structures == list(Structure)


def test_words_are_believed_when_a_plainer_request_was_taken(adaptation):
    """A rejection by wording alone concerns its item until the item is accepted without that structure."""
    assert not adaptation.learn_unconfirmed_rejection(Structure.SCHEMA)
    assert adaptation.structures == list(Structure)

    adaptation.learn_accepted(Structure.JSON, {Structure.SCHEMA})

    assert adaptation.structures == [Structure.JSON, Structure.TEXT]


def test_words_are_believed_when_several_items_in_a_row_draw_them(adaptation):
    """A rejection by wording alone is confirmed by three items in a row; an accepted request restarts the count."""
    assert [adaptation.learn_unconfirmed_rejection(Structure.SCHEMA) for _ in range(2)] == [False, False]
    adaptation.learn_accepted(Structure.SCHEMA, ())

    assert [adaptation.learn_unconfirmed_rejection(Structure.SCHEMA) for _ in range(3)] == [False, False, True]


def test_one_sample_that_failed_is_asked_for_again(adaptation):
    """A failed sample is requested again at once only if a conversation was received since the last failed sample."""
    assert [adaptation.claim_resample() for _ in range(3)] == [True, False, False]

    adaptation.record_usable_answer()

    assert adaptation.claim_resample()


def test_bodies_go_out_as_they_are_taken(adaptation):
    """A request body has renamed parameters under their other name and no rejected ones, and is otherwise unchanged."""
    body = {"model": "m", "max_tokens": 5, "temperature": 0.8}
    assert adaptation.adapt_body(body) == body

    assert adaptation.rename_parameter("max_tokens", "max_completion_tokens")
    adaptation.omit_parameter("temperature")

    assert adaptation.adapt_body(body) == {"model": "m", "max_completion_tokens": 5}


def test_what_the_user_has_set_stays_as_it_is(adaptation):
    """Learning in one job changes no parameter that the user of another job has set."""
    adaptation.rename_parameter("max_tokens", "max_completion_tokens")
    adaptation.omit_parameter("temperature")
    body = {"model": "m", "max_tokens": 5, "temperature": 0.8}

    assert adaptation.adapt_body(body, {"temperature": 0.8, "max_tokens": 5}) == body


@pytest.mark.parametrize("instead", ["max_tokens", ""])
def test_a_name_that_leads_nowhere_is_not_learnt(adaptation, instead):
    """A parameter is not renamed to itself or to an empty name."""
    assert not adaptation.rename_parameter("max_tokens", instead)
    assert adaptation.renamed == {}


def test_names_do_not_go_in_circles(adaptation):
    """A renamed parameter is not renamed back, so that two names do not alternate for ever."""
    assert adaptation.rename_parameter("max_tokens", "max_completion_tokens")
    assert not adaptation.rename_parameter("max_completion_tokens", "max_tokens")
