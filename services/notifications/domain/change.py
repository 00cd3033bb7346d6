"""A notification log as one message changes it, with the emails, webhook deliveries and feed entries that it brings."""

from __future__ import annotations

from typing import Any

from services.notifications.domain.email_draft import EmailDraft, addressed
from services.notifications.domain.endpoint import Endpoint, Endpoints
from services.notifications.domain.feed import customer_recipient, staff_recipient
from services.notifications.domain.notification_log import Email, Fact, NotificationLog, WebhookDelivery
from services.notifications.domain.operations import PostWebhook
from services.notifications.domain.person import without_person
from services.notifications.domain.records import FeedEntry
from services.notifications.domain.status_record import is_told, status_record
from services.notifications.domain.webhook_event import EVENTS, payload, subscriptions
from shared.contracts.values import OrderStatus, order_page
from shared.core import Change, Decision
from shared.core.fast_dataclasses import replace


class NotificationChange(Change[NotificationLog]):
    """What a fact brings is sent once: first `add_fact`, then its emails and feed entries if the fact is new. A change
    that is told has the status record as its last event."""

    def decision(self) -> Decision[NotificationLog]:
        if self.changed and self.state.erased_at:
            self.state = without_person(self.state)
        if is_told(self.before, self.state):
            self.set(revision=self.context.revised(self.state.revision), updated_at=self.context.at)
            self.publish(status_record(self.state))
        return super().decision()

    def add_fact(
        self,
        kind: str,
        which: str = "",
        *,
        each_time: bool = False,
        status: OrderStatus | None = None,
        refund: int | None = None,
    ) -> bool:
        """Deliver its webhook events, too. False: the fact is known, and what it brings was sent; or the
        customer's data is erased.

        What can happen more than once is told apart by `which`, or `each_time` every message is a fact of its own.
        `status`: of the order after it."""
        which = self.context.message_id.hex if each_time else which
        fact = Fact(f"{kind}:{which}" if which else kind, self.context.at, status, refund)
        if self.state.erased_at or self.state.fact(fact.name):
            return False
        found = self.other(Endpoints, self.state.store.id) if kind in EVENTS else None
        deliveries = [self._delivery(fact, event, endpoint) for event, endpoint in subscriptions(fact, found)]
        self.set(facts=(*self.state.facts, fact), deliveries=(*self.state.deliveries, *deliveries))
        for delivery in deliveries:
            if delivery.state == "pending":
                self.post_delivery(delivery)
        return True

    def send_emails(self, *drafts: EmailDraft) -> None:
        """Emails about the latest fact."""
        fact = self.state.facts[-1].name
        calls = [addressed(draft, self.state, fact, self.context) for draft in drafts]
        emails = (Email(call.message_id, fact, call.template, call.audience) for call in calls)
        self.set(emails=(*self.state.emails, *emails))
        self.request(*calls)

    def notify_customer(self, kind: str, title: str, text: str = "", link: str = "") -> None:
        """Add an entry to the customer's feed. It links to the order's page where `link` is empty."""
        log = self.state
        link = link or order_page(log.store.order_url, self.context.key)
        self._add_entry(customer_recipient(log.store.id, log.customer), kind, title, text, link)

    def notify_staff(self, kind: str, title: str, text: str) -> None:
        """Add an entry to the staff's feed."""
        self._add_entry(staff_recipient(self.state.store.id), kind, title, text)

    def post_delivery(self, delivery: WebhookDelivery) -> None:
        log = self.state
        fact = next(fact for fact in log.facts if fact.name == delivery.fact)
        body = payload(log, delivery.event, fact)
        self.request(PostWebhook(delivery.id, log.store.id, delivery.endpoint, delivery.event, body))

    def update_email(self, email: Email, **fields: Any) -> Email:
        email = replace(email, **fields)
        self.set(emails=tuple(email if one.id == email.id else one for one in self.state.emails))
        return email

    def update_delivery(self, delivery: WebhookDelivery, **fields: Any) -> WebhookDelivery:
        delivery = replace(delivery, **fields)
        self.set(deliveries=tuple(delivery if one.id == delivery.id else one for one in self.state.deliveries))
        return delivery

    def _delivery(self, fact: Fact, event: str, endpoint: Endpoint) -> WebhookDelivery:
        id = self.context.named_id("webhook", fact.name, event, endpoint.id)
        delivery = WebhookDelivery(f"msg_{id.hex}", fact.name, event, endpoint.id)
        if endpoint.paused:
            reason = endpoint.reason or "The endpoint is paused."
            return replace(delivery, state="paused", at=self.context.at, text=reason)
        return delivery

    def _add_entry(self, recipient: str, kind: str, title: str, text: str, link: str | None = None) -> None:
        at, id, number = self.context.at, self.context.new_id(), self.state.number
        self.record(FeedEntry(recipient, id, self.context.key, number, kind, title, text, link, at))
