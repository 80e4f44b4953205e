"""Models: what an agent can be made of."""

import pytest
from anthropic import BadRequestError, NotFoundError

from daybreak_sdk_tests.refusal import refused
from daybreak_sdk_tests.talk import ids


def test_every_scenario_is_listed_as_a_model(client):
    assert {"rehearsal/parrot", "rehearsal/patience"} <= set(ids(client.beta.models.list(limit=1000)))


def test_a_rehearsal_says_that_it_is_one(client):
    model = client.beta.models.retrieve("rehearsal/parrot")
    assert (model.id, model.type, model.lifecycle) == ("rehearsal/parrot", "model", "active")
    assert "rehearsal" in model.display_name.lower()


def test_a_listed_model_reads_back_the_same(client):
    for model in client.beta.models.list():
        assert client.beta.models.retrieve(model.id) == model


def test_models_are_listed_in_windows_that_lead_both_ways(client):
    everything = ids(client.beta.models.list(limit=1000))
    first = client.beta.models.list(limit=2)
    assert ids(first.data) == everything[:2]
    assert (first.first_id, first.last_id, first.has_more) == (everything[0], everything[1], True)
    second = client.beta.models.list(limit=2, after_id=first.last_id)
    assert ids(second.data) == everything[2:4]
    assert ids(client.beta.models.list(limit=2, before_id=second.first_id).data) == everything[:2]
    assert ids(client.beta.models.list(limit=2)) == everything


def test_the_general_endpoints_serve_the_same_models(client):
    """`client.models` sends no beta header."""
    assert ids(client.models.list(limit=1000)) == ids(client.beta.models.list(limit=1000))
    assert client.models.retrieve("rehearsal/parrot").id == "rehearsal/parrot"


def test_models_are_filtered_by_lifecycle(client):
    assert "rehearsal/parrot" in ids(client.beta.models.list(lifecycle=["active"], limit=1000))
    assert "rehearsal/parrot" not in ids(client.beta.models.list(lifecycle=["retired"], limit=1000))


@pytest.mark.parametrize("model", ["rehearsal/nowhere", "claude-nobody", "a b"])
def test_an_unknown_model_is_not_found(client, model):
    with refused(NotFoundError, model):
        client.beta.models.retrieve(model)


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_limit_out_of_range_is_refused(client, limit):
    with refused(BadRequestError, "limit", "1000"):
        client.beta.models.list(limit=limit)
