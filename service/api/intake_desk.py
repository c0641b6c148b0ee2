"""Takes forget requests in: those that come together in one transaction, each with its own answer."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.api.schemas.request import RequestView, request_view
from service.api.shown import is_waiting, show_requests
from service.core import errors, logging
from service.core.db.session import Sessions, transaction
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.requests import intake
from service.core.requests.intake import Sent
from service.core.requests.models import ForgetRequest

log = logging.get(__name__)


class IntakeDesk:
    """Takes requests in.

    Args:
        sessions: Where they are written.
        pseudonymiser: Turns the identifiers that they name into pseudonyms.
    """

    def __init__(self, sessions: Sessions, pseudonymiser: Pseudonymiser) -> None:
        self._sessions = sessions
        self._pseudonymiser = pseudonymiser

    def take_in(self, sent: Sequence[Sent]) -> list[RequestView | Exception]:
        """Return, after the commit, each request as its sender is shown it, or what is wrong with it.

        If the transaction fails for what one of them holds, each is tried by itself, so that it fails alone.

        Raises:
            errors.Unavailable: The database is out; trying one by one would not help.
        """
        try:
            return self._take(sent)
        except errors.Unavailable:
            raise
        except Exception:
            if len(sent) == 1:
                raise
            log.exception("group_failed", num_requests=len(sent))
        return [self._take_alone(one) for one in sent]

    def _take(self, sent: Sequence[Sent]) -> list[RequestView | Exception]:
        with transaction(self._sessions) as session:
            outcomes = intake.receive_all(session, sent, self._pseudonymiser)
            return _shown(session, sent, outcomes)

    def _take_alone(self, sent: Sent) -> RequestView | Exception:
        try:
            return self._take([sent])[0]
        except Exception as error:
            return error


def _shown(
    session: Session, sent: Sequence[Sent], outcomes: Sequence[intake.Outcome]
) -> list[RequestView | Exception]:
    shown: dict[int, RequestView | Exception] = {}
    further: dict[int, ForgetRequest] = {}
    for place, (one, outcome) in enumerate(zip(sent, outcomes, strict=True)):
        if isinstance(outcome, errors.LetheError):
            shown[place] = outcome
        elif is_waiting(outcome):
            shown[place] = request_view(outcome, one.intake.model, None)  # nearly all; nothing is asked
        else:
            further[place] = outcome
    if further:
        shown |= zip(further, show_requests(session, [*further.values()]), strict=True)
    return [shown[place] for place in range(len(sent))]
