"""What was sent and told before the database was restored is not sent again: mail servers cannot be asked, and not all
receivers look at the `webhook-id`. Older builds told each by a fact of its own."""

from __future__ import annotations

from services.notifications.domain.operations import PostWebhook, SendEmail
from shared.contracts.notifications import EmailSent, MessageStatusRecord, WebhookDelivered


def sent(email: SendEmail, record: MessageStatusRecord) -> SendEmail.Done | None:
    is_sent = any(one.message == email.message_id and one.state == "sent" for one in record.emails)
    return SendEmail.Done() if is_sent else None


def delivered(post: PostWebhook, record: MessageStatusRecord) -> PostWebhook.Done | None:
    is_delivered = any(one.message == post.message_id and one.state == "delivered" for one in record.webhooks)
    return PostWebhook.Done(200) if is_delivered else None


def sent_before(email: SendEmail, fact: EmailSent) -> SendEmail.Done | None:
    return SendEmail.Done() if fact.message == email.message_id else None


def delivered_before(post: PostWebhook, fact: WebhookDelivered) -> PostWebhook.Done | None:
    return PostWebhook.Done(200) if fact.message == post.message_id else None
