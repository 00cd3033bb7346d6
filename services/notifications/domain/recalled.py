"""What was sent before the database was restored is not sent again: mail servers cannot be asked, and not all receivers
look at the `webhook-id`."""

from __future__ import annotations

from services.notifications.domain.operations import PostWebhook, SendEmail
from shared.contracts.notifications import EmailSent, WebhookDelivered


def sent(email: SendEmail, fact: EmailSent) -> SendEmail.Done | None:
    return SendEmail.Done() if fact.message == email.message_id else None


def delivered(post: PostWebhook, fact: WebhookDelivered) -> PostWebhook.Done | None:
    return PostWebhook.Done(200) if fact.message == post.message_id else None
