"""Tickets: only what this installation issued, unaltered and in time, names a holder."""

from datetime import UTC, datetime, timedelta

import pytest

from service.dashboard.tickets import LIFETIME_SECONDS, Tickets

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
TICKETS = Tickets("an-admin-key-for-tests")


def test_ticket_names_its_holder_until_it_expires() -> None:
    ticket = TICKETS.issue("admin", NOW)

    assert TICKETS.read(ticket, NOW + timedelta(seconds=LIFETIME_SECONDS - 1)) == "admin"
    assert TICKETS.read(ticket, NOW + timedelta(seconds=LIFETIME_SECONDS)) is None


def test_ticket_for_another_holder_cannot_be_made_from_ones_own() -> None:
    _, expires, mac = TICKETS.issue("0192-a-reader", NOW).split(".")

    assert TICKETS.read(f"admin.{expires}.{mac}", NOW) is None


def test_ticket_cannot_be_prolonged() -> None:
    holder, expires, mac = TICKETS.issue("admin", NOW).split(".")

    assert TICKETS.read(f"{holder}.{int(expires) + 1}.{mac}", NOW) is None


def test_another_admin_key_ends_every_ticket() -> None:
    assert Tickets("another-admin-key").read(TICKETS.issue("admin", NOW), NOW) is None


@pytest.mark.parametrize(
    "text", ["", ".", "..", "admin", "admin.99999999999.", "admin.x.y", "\N{SNOWMAN}.1.2", "a.b.c.d"]
)
def test_anything_else_is_no_ticket(text: str) -> None:
    assert TICKETS.read(text, NOW) is None
