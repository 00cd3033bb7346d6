"""What must hold of verified cards and customers, and of requests accepted or declined, when a run has come to rest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from uuid import UUID

import orjson

from deploy.check.evidence import Findings
from deploy.simulation.abandoned import abandoned_erased
from deploy.simulation.evidence import Broken
from deploy.simulation.newcomers import newcomers_held
from deploy.simulation.trial import Trial
from services.checkout.domain.order import Order
from shared.contracts.approval import OrderAccepted, OrderDeclined
from shared.contracts.checkout import OrderPlaced
from shared.contracts.values import OrderStatus


def verifications_released(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Nothing stays authorised, and each card is verified once."""
    verifications = trial.world.verifications
    for made in verifications.made.values():
        if made.held:
            yield "verifications_released", made.order, f"{made.id} still holds {made.held}"
    for key, times in verifications.effects.items():
        if times > 1:
            yield "verifications_released", key.partition(".")[0], f"{key} was authorised {times} times"


def cards_forgotten(trial: Trial, found: Findings) -> Iterator[Broken]:
    """No card is kept for an order that is decided, and does not wait for its charge."""
    for made in trial.world.verifications.made.values():
        order = found.of(Order).get(made.order)
        if made.kept and order and order.status is not OrderStatus.RECEIVED:
            yield "cards_forgotten", made.order, f"the card of {made.id} is kept, and the order is {order.status}"


def requests_decided_once(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Accepted or declined, however often staff say it."""
    told: defaultdict[str, set[UUID]] = defaultdict(set)
    for _, envelope in trial.world.read:
        if envelope.type in (OrderAccepted.type, OrderDeclined.type):
            told[envelope.subject].add(envelope.id)
    for key, ids in told.items():
        if len(ids) > 1:
            yield "requests_decided_once", key, f"{len(ids)} decisions were told"


def charged_once_accepted(trial: Trial, found: Findings) -> Iterator[Broken]:
    """In a made-to-order store; the kept card for one charge only, which the customer is not there to see. An order
    that came before the store's settings (they were parked) is no request."""
    if not trial.shop.requests.open:
        return
    accepted = {envelope.subject for _, envelope in trial.world.read if envelope.type == OrderAccepted.type}
    placed = [(record.value, envelope) for record, envelope in trial.world.read if envelope.type == OrderPlaced.type]
    requested = {envelope.subject for body, envelope in placed if body and orjson.loads(body).get("to_approve")}
    ours = [intent for intent in trial.world.stripe.intents.values() if not intent.stray]
    for intent in ours:
        if intent.order in requested and intent.order not in accepted:
            yield "charged_once_accepted", intent.order, f"{intent.id} was made for a request that staff never accepted"
    for key, times in Counter(intent.order for intent in ours if intent.kept_card).items():
        if times > 1:
            yield "charged_once_accepted", key, f"the kept card was charged {times} times"


def first_orders_held(trial: Trial, found: Findings) -> Iterator[Broken]:
    """In a store with that rule."""
    yield from newcomers_held(trial.shop.newcomers, trial.world, found)


def abandoned_forgotten(trial: Trial, found: Findings) -> Iterator[Broken]:
    """What checkouts told that were never submitted is erased in time."""
    yield from abandoned_erased(trial.world, found)


VERIFIED = (
    verifications_released,
    cards_forgotten,
    requests_decided_once,
    charged_once_accepted,
    first_orders_held,
    abandoned_forgotten,
)
