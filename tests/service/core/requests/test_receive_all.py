"""Intake of many: each request has an outcome of its own, and all of them cost the same few statements."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine, event, func, select

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.ledger.models import LedgerEntry
from service.core.lineage.models import Dataset
from service.core.requests import intake
from service.core.requests.intake import Intake, Outcome, Sent
from service.core.requests.models import ForgetRequest, IdempotencyKey
from service.core.requests.states import Status
from service.core.requests.targets import Target
from tests.fixtures.forgetting import Kernel, classes, samples, subject
from tests.fixtures.registry import NUM_CLASSES, MakeReady, ReadyModel


def sent(target: Target, key: str | None = None, model: str = "digits", body: bytes = b"{}") -> Sent:
    """A request of one caller."""
    return Sent(
        Intake(
            model=model,
            target=target,
            method="auto",
            submitted_at=None,
            ground=None,
            idempotency_key=key,
            fingerprint=intake.fingerprint(body),
            correlation_id="call-1",
        ),
        "caller",
    )


def receive_all(kernel: Kernel, *asked: Sent) -> list[Outcome]:
    """Take requests in, in one transaction."""
    with transaction(kernel.sessions) as session:
        return intake.receive_all(session, asked, kernel.signatory.pseudonymiser)


def codes(outcomes: list[Outcome]) -> list[str]:
    """Each request's status, or the code of what is wrong with it."""
    return [one.code if isinstance(one, errors.LetheError) else one.status for one in outcomes]


def count(sessions: Sessions, table: type) -> int:
    """How many rows a table has."""
    with transaction(sessions) as session:
        return session.scalars(select(func.count()).select_from(table)).one()


def test_each_outcome_is_what_the_request_would_get_alone(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_classes(digits, 2)
    kernel.serve(digits)
    before = count(sessions, LedgerEntry)

    outcomes = receive_all(
        kernel,
        sent(classes(1)),
        sent(classes(99)),
        sent(samples(*digits.sample_ids(0, 3))),
        sent(samples("nobody")),
        sent(subject("digits-person-3")),
        sent(subject("nobody")),
        sent(classes(2)),
        sent(samples(*digits.sample_ids(*digits.trained_on(2)[:2]))),
        sent(classes(*range(NUM_CLASSES))),
        sent(classes(1), model="unknown"),
        sent(samples("person-\ud800")),
    )

    assert codes(outcomes) == [
        "queued", "unknown_class", "queued", "unknown_sample", "queued", "rejected", "completed", "completed",
        "every_class", "not_found", "malformed_identifier",
    ]  # fmt: skip
    taken = [one for one in outcomes if isinstance(one, ForgetRequest)]
    assert [one.positions for one in taken[1:3]] == [[0, 3], digits.of_subject("digits-person-3")]
    assert [one.correlation_id for one in taken] == ["call-1"] * len(taken)
    assert [[entry.kind for entry in kernel.story(one.id)] for one in taken] == [
        ["request.received", f"request.{one.status}"] for one in taken
    ]
    assert count(sessions, LedgerEntry) - before == 2 * len(taken)
    assert [one.id for one in taken] == sorted(one.id for one in taken)


def test_one_job_a_model_waits_and_is_due_when_the_first_request_is(
    kernel: Kernel, digits: ReadyModel, make_ready: MakeReady
) -> None:
    letters = make_ready("letters", dataset_name="letters")

    outcomes = receive_all(
        kernel, *[sent(classes(n), model=m) for m in ("digits", "letters") for n in (0, 1)]
    )

    taken = [one for one in outcomes if isinstance(one, ForgetRequest)]
    for model, own in ((digits, taken[:2]), (letters, taken[2:])):
        [job] = kernel.jobs(model)
        assert job.due_at == min(one.due_at for one in own)


def test_same_key_twice_stands_for_the_first(kernel: Kernel, sessions: Sessions, digits: ReadyModel) -> None:
    first, twin, other, free = receive_all(
        kernel,
        sent(classes(1), "k", body=b"1"),
        sent(classes(1), "k", body=b"1"),
        sent(classes(2), "k", body=b"2"),
        sent(classes(2), "free", body=b"2"),
    )

    assert codes([first, twin, other, free]) == ["queued", "queued", "idempotency_key_reused", "queued"]
    assert isinstance(first, ForgetRequest) and first is twin
    assert count(sessions, ForgetRequest) == 2


def test_keys_of_earlier_requests_are_answered_from_them(kernel: Kernel, digits: ReadyModel) -> None:
    earlier = kernel.ask(digits.name, classes(1), key="k", body=b"1")

    again, other, late = receive_all(
        kernel,
        sent(classes(1), "k", body=b"1"),
        sent(classes(1), "k", body=b"2"),
        sent(classes(1), "k", body=b"1"),
    )

    assert isinstance(again, ForgetRequest) and isinstance(late, ForgetRequest)
    assert again.id == late.id == earlier.id
    assert codes([other]) == ["idempotency_key_reused"]


def test_key_of_a_refused_request_is_free_again(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    refused, twin, taken = receive_all(
        kernel, sent(classes(99), "k"), sent(classes(99), "k"), sent(classes(1), "other")
    )

    assert codes([refused, twin, taken]) == ["unknown_class", "unknown_class", "queued"]
    assert count(sessions, IdempotencyKey) == 1
    assert kernel.ask(digits.name, classes(2), key="k").status == Status.QUEUED


def test_statements_do_not_grow_with_the_requests(
    kernel: Kernel, engine: Engine, digits: ReadyModel, make_ready: MakeReady
) -> None:
    make_ready("letters", dataset_name="letters")
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    def cost(number: int) -> int:
        statements.clear()
        asked = [sent(classes(n % 3), f"c-{number}-{n}") for n in range(number)]
        asked += [sent(samples(digits.sample_ids(n % 20)[0]), f"s-{number}-{n}") for n in range(number)]
        asked += [sent(subject(f"letters-person-{n % 8}"), model="letters") for n in range(number)]
        assert codes(receive_all(kernel, *asked)) == ["queued"] * len(asked)
        return len(statements)

    cost(1)  # makes the jobs
    assert cost(200) == cost(2) < 15


def test_class_counts_are_counted_where_the_row_does_not_tell(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    with transaction(sessions) as session:
        session.get_one(Dataset, digits.dataset_id).class_counts = None

    assert kernel.ask_classes(digits, 1).num_samples == len(digits.trained_on(1))


def test_more_classes_than_an_entry_can_tell_are_refused(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel, make_ready: MakeReady
) -> None:
    with transaction(sessions) as session:
        session.execute(
            intake.Model.__table__.update().values(num_classes=2**31 - 1).where(intake.Model.id == digits.id)
        )

    most = 2**31 - 2
    fits = kernel.ask_classes(digits, *range(most, most - 4000, -1))
    with pytest.raises(errors.Invalid) as refusal:
        kernel.ask_classes(digits, *range(4001))

    assert fits.reason == "no_match"
    assert refusal.value.code == "too_many_classes"


def test_groups_that_share_keys_and_models_never_lock_each_other_out(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel, make_ready: MakeReady
) -> None:
    make_ready("letters", dataset_name="letters")
    racers, rounds = 4, 5
    barrier = Barrier(racers)

    def race(number: int) -> list[list[str]]:
        seen = []
        for each in range(rounds):
            asked = [
                sent(classes(n % 3), f"{each}-{n}", model, body=b"%d" % n)
                for n in range(6)
                for model in ("digits" if n % 2 else "letters",)
            ]
            barrier.wait()
            seen.append(codes(receive_all(kernel, *(asked if number % 2 else asked[::-1]))))
        return seen

    with ThreadPoolExecutor(racers) as pool:
        answers = list(pool.map(race, range(racers)))

    assert {code for seen in answers for one in seen for code in one} == {"queued"}
    assert count(sessions, ForgetRequest) == rounds * 6
