"""What is at hand: the last models that the present engine worked on, and nothing of an earlier one."""

from uuid import uuid4

from workers.jobs.at_hand import NUM_MODELS, AtHand


def test_the_last_models_are_at_hand_each_once() -> None:
    at_hand = AtHand()
    models = [uuid4() for _ in range(NUM_MODELS + 1)]

    for model_id in (*models, models[3]):
        at_hand.note(model_id, 7)

    assert at_hand.models(7) == (*models[1:3], *models[4:], models[3])


def test_a_new_engine_has_nothing() -> None:
    at_hand = AtHand()
    at_hand.note(uuid4(), 7)

    assert at_hand.models(8) == at_hand.models(None) == ()


def test_an_engine_that_died_at_a_job_has_nothing() -> None:
    at_hand = AtHand()
    at_hand.note(uuid4(), 7)

    at_hand.note(uuid4(), None)

    assert at_hand.models(7) == ()
