"""What is learnt from the refusals of an endpoint, and how requests are made then."""

import pytest

from backstay.generate.adaptation import Adaptation
from backstay.generate.providers.provider import Structure


@pytest.fixture
def adaptation():
    return Adaptation.from_structures(tuple(Structure))


def test_answers_of_another_shape_are_asked_for_in_a_plainer_way(adaptation):
    """Eight in a row are no accident: all are asked in the next plainer way, and in the last one told what is wrong."""
    for number in range(24):
        assert len(adaptation.structures) == 3 - number // 8 if number < 16 else 1
        adaptation.learn_unusable_answer(adaptation.structures[0], "assistant_1 was missing")

    assert adaptation.structures == [Structure.TEXT]
    assert adaptation.hint == "assistant_1 was missing"


def test_a_refused_structure_is_not_asked_for_again(adaptation):
    """Of several calls that were refused it at once, only the first changes what the next ones ask for."""
    assert adaptation.drop_structure(Structure.SCHEMA)
    assert adaptation.drop_structure(Structure.SCHEMA)

    assert adaptation.structures == [Structure.JSON, Structure.TEXT]


def test_the_last_structure_stays(adaptation):
    """Where nothing plainer is left, there is no other way to ask."""
    assert adaptation.drop_structure(Structure.SCHEMA)
    assert adaptation.drop_structure(Structure.JSON)
    assert not adaptation.drop_structure(Structure.TEXT)

    assert adaptation.structures == [Structure.TEXT]


def test_the_plainest_structure_stays_while_others_do(adaptation):
    """An item that is refused in each way does not take the last one from those that may need it."""
    assert not adaptation.drop_structure(Structure.TEXT)

    assert adaptation.structures == list(Structure)


def test_words_are_believed_when_a_plainer_request_was_taken(adaptation):
    """A refusal in words may quote a prompt: it is the item's until it is answered without that structure."""
    assert not adaptation.learn_unconfirmed_rejection(Structure.SCHEMA)
    assert adaptation.structures == list(Structure)

    adaptation.learn_accepted(Structure.JSON, {Structure.SCHEMA})

    assert adaptation.structures == [Structure.JSON, Structure.TEXT]


def test_words_are_believed_when_several_items_in_a_row_draw_them(adaptation):
    """The third in a row is no quotation; a request that is taken in between starts the count anew."""
    assert [adaptation.learn_unconfirmed_rejection(Structure.SCHEMA) for _ in range(2)] == [False, False]
    adaptation.learn_accepted(Structure.SCHEMA, ())

    assert [adaptation.learn_unconfirmed_rejection(Structure.SCHEMA) for _ in range(3)] == [False, False, True]


def test_one_sample_that_failed_is_asked_for_again(adaptation):
    """At once while conversations come in between; where one failure follows another, asking again costs a try."""
    assert [adaptation.allow_resample() for _ in range(3)] == [True, False, False]

    adaptation.record_conversation()

    assert adaptation.allow_resample()


def test_bodies_go_out_as_they_are_taken(adaptation):
    """Names that are not taken are replaced, parameters that are not taken left out, and nothing else is touched."""
    body = {"model": "m", "max_tokens": 5, "temperature": 0.8}
    assert adaptation.adapt_body(body) == body

    assert adaptation.learn_renamed("max_tokens", "max_completion_tokens")
    adaptation.learn_omitted("temperature")

    assert adaptation.adapt_body(body) == {"model": "m", "max_completion_tokens": 5}


def test_what_the_user_has_set_stays_as_it_is(adaptation):
    """What one job has learnt about a model changes no parameter that another job sets itself."""
    adaptation.learn_renamed("max_tokens", "max_completion_tokens")
    adaptation.learn_omitted("temperature")
    body = {"model": "m", "max_tokens": 5, "temperature": 0.8}

    assert adaptation.adapt_body(body, {"temperature": 0.8, "max_tokens": 5}) == body


@pytest.mark.parametrize("instead", ["max_tokens", ""])
def test_a_name_that_leads_nowhere_is_not_learnt(adaptation, instead):
    """An endpoint that refuses a parameter in favour of itself, or of nothing, cannot be pleased."""
    assert not adaptation.learn_renamed("max_tokens", instead)
    assert adaptation.renamed == {}


def test_names_do_not_go_in_circles(adaptation):
    """An endpoint that refuses either name in favour of the other is not asked for ever."""
    assert adaptation.learn_renamed("max_tokens", "max_completion_tokens")
    assert not adaptation.learn_renamed("max_completion_tokens", "max_tokens")
