"""Examples of the messages in `shared/contracts/notifications.py`."""

from __future__ import annotations

from shared.contracts import notifications
from shared.contracts.examples.order import COMMAND, MAIL, NUMBER, PAID, WEBHOOK
from shared.core import Message

EXAMPLES: tuple[Message, ...] = (
    notifications.RegisterWebhook(
        endpoint="crm",
        url="https://crm.example/in",
        events=("order.received", "order.refunded"),
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # noqa: S106  # from the Standard Webhooks specification
    ),
    notifications.RemoveWebhook(endpoint="crm"),
    notifications.PauseWebhook(endpoint="crm", reason="The endpoint answered 410 Gone."),
    notifications.ResumeWebhook(endpoint="crm"),
    notifications.ReplayWebhooks(endpoint="crm"),
    notifications.ReplayLostWebhooks(since=PAID, endpoint="crm"),
    notifications.ResendMails(messages=(MAIL,)),
    notifications.ResendLostMails(since=PAID),
    notifications.SettleMail(message=MAIL, outcome="not_sent", reason="Not in the mail server's log."),
    notifications.EmailSent(message=MAIL, template="order_confirmation", audience="customer"),
    notifications.EmailFailed(
        message=MAIL,
        template="shipment",
        audience="customer",
        code="550",
        text="The mail server answered 550: mailbox unavailable.",
    ),
    notifications.EmailResent(message=MAIL, template="shipment", audience="customer"),
    notifications.EmailSettled(
        message=MAIL,
        template="shipment",
        audience="customer",
        outcome="not_sent",
        reason="Not in the mail server's log.",
    ),
    notifications.WebhookDelivered(message=WEBHOOK, endpoint="crm", event="order.received", attempts=1),
    notifications.WebhookExhausted(
        message=WEBHOOK, endpoint="crm", event="order.refunded", attempts=10, text="HTTP 503"
    ),
    notifications.WebhooksReplayed(messages=(WEBHOOK,)),
    notifications.MessageStatusRecord(
        number=NUMBER,
        store="northwind",
        revision=2,
        updated_at=PAID,
        emails=(
            notifications.EmailStatus(
                message=MAIL,
                fact="paid",
                template="order_confirmation",
                audience="customer",
                state="sent",
                attempts=1,
                at=PAID,
            ),
        ),
        webhooks=(
            notifications.WebhookStatus(
                message=WEBHOOK,
                fact="paid",
                event="order.received",
                endpoint="crm",
                state="exhausted",
                attempts=10,
                at=PAID,
                text="HTTP 503",
            ),
        ),
    ),
    notifications.NotificationsRefused(
        command="webhook.remove", command_id=COMMAND, code="unknown_endpoint", text="This store has no endpoint crm."
    ),
)
