"""What the monitor reads of status records: as little as it needs, so that it counts the orders of a newer build, too,
whose status it does not know."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from services.monitor.domain.figures import OrderFigures, PaymentFigures
from services.monitor.domain.fingerprints import Fingerprints
from services.monitor.domain.minutes import minute_of
from services.monitor.domain.picture import Picture, SeenOrder, SeenPayment
from services.monitor.domain.unusual import Source, Try
from shared.contracts.checkout import STATUS, OrderStatusRecord
from shared.contracts.envelope import BadEnvelope, UnknownMessage, from_headers, message_type, read_key
from shared.contracts.payment_status import STATUS as PAYMENTS
from shared.contracts.payment_status import PaymentStatusRecord
from shared.contracts.values import Amount, Currency, Id, OrderStatus, Revision
from shared.shell.ports.bus import BusRecord

TOPICS = (STATUS.name, PAYMENTS.name)
COUNTED, UNKNOWN, UNREADABLE, FAILED = OUTCOMES = ("counted", "unknown", "unreadable", "failed")
"""What happens to a record. Unknown: its type or version is not known to this build; failed: a bug."""
DECLINED, DONE = "declined", "done"


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Mailbox(_Read):
    email: str


class PostalAddress(_Read):
    """Without the name."""

    line1: str
    line2: str | None = None
    postal_code: str | None = None
    city: str
    country: str


class PlacedOrder(_Read):
    store: Id
    revision: Revision
    updated_at: AwareDatetime
    placed_at: AwareDatetime | None = None
    paid_at: AwareDatetime | None = None
    status: str = ""
    currency: Currency
    purchased: Amount = 0
    paid: Amount | None = None
    customer: Mailbox | None = None
    shipping: PostalAddress | None = None
    client_ip: str | None = None

    def seen(self, fingerprints: Fingerprints) -> SeenOrder | None:
        if self.placed_at is None:
            return None
        paid = minute_of(self.paid_at) if self.paid_at is not None else None
        revenue = self.purchased if self.paid is None else self.paid
        figures = OrderFigures(
            self.store,
            minute_of(self.placed_at),
            paid,
            self.status == OrderStatus.FAILED,
            self.currency,
            revenue if paid is not None else 0,
        )
        return SeenOrder(minute_of(self.updated_at), figures, tuple(self._sources(fingerprints)))

    def _sources(self, fingerprints: Fingerprints) -> list[Source]:
        found = []
        if self.customer is not None:
            found.append(fingerprints.mail(self.customer.email))
        if (to := self.shipping) is not None:
            found.append(fingerprints.address(to.line1, to.line2, to.postal_code, to.city, to.country))
        if self.client_ip is not None and (ip := fingerprints.ip(self.client_ip)) is not None:
            found.append(ip)
        return found


class CardRead(_Read):
    brand: str
    last4: str
    exp_month: int
    exp_year: int


class AttemptRead(_Read):
    attempt: int
    status: str
    at: AwareDatetime
    card: CardRead | None = None


class RefundRead(_Read):
    status: str
    amount: Amount
    at: AwareDatetime


class Payment(_Read):
    store: Id
    revision: Revision
    updated_at: AwareDatetime
    currency: Currency
    attempts: tuple[AttemptRead, ...] = ()
    refunds: tuple[RefundRead, ...] = ()

    def seen(self, fingerprints: Fingerprints) -> SeenPayment:
        """An extra capture of an attempt is no attempt of its own."""
        attempts = {one.attempt: one for one in reversed(self.attempts)}.values()
        tries = tuple(Try(minute_of(one.at), _card(fingerprints, one.card), one.status == DECLINED) for one in attempts)
        figures = PaymentFigures(
            self.store,
            self.currency,
            tuple((one.minute, one.declined) for one in tries),
            tuple((minute_of(one.at), one.amount) for one in self.refunds if one.status == DONE),
        )
        return SeenPayment(minute_of(self.updated_at), figures, tries)


def _card(fingerprints: Fingerprints, card: CardRead | None) -> bytes | None:
    if card is None:
        return None
    return fingerprints.card(card.brand, card.last4, str(card.exp_month), str(card.exp_year))


@dataclass(frozen=True, slots=True)
class Records:
    """Counts what records say."""

    picture: Picture
    fingerprints: Fingerprints

    def take(self, record: BusRecord) -> str:
        """Never raises because of a record: returns an outcome."""
        if record.unreadable:
            return UNREADABLE
        if record.value is None:
            return self._gone(record)
        try:
            envelope = from_headers(record.headers, record.key)
            type = message_type(envelope)
            if type is OrderStatusRecord:
                order = PlacedOrder.model_validate_json(record.value)
                self.picture.order(envelope.subject, order.revision, order.seen(self.fingerprints))
            elif type is PaymentStatusRecord:
                payment = Payment.model_validate_json(record.value)
                self.picture.payment(envelope.subject, payment.revision, payment.seen(self.fingerprints))
            else:
                return UNKNOWN
        except UnknownMessage:
            return UNKNOWN
        except (BadEnvelope, ValidationError):
            return UNREADABLE
        return COUNTED

    def _gone(self, record: BusRecord) -> str:
        """A record without a value says that the order is no longer on the topic."""
        order, wrong = read_key(record.key)
        if wrong:
            return UNREADABLE
        if record.topic == PAYMENTS.name:
            self.picture.forget_payment(order)
        else:
            self.picture.forget_order(order)
        return COUNTED
