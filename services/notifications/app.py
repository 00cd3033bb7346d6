"""How notifications is wired: what it consumes and emits, its tables, its gateways."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifications.attention import ATTENTION
from services.notifications.domain import CORES
from services.notifications.domain.endpoint import Endpoints
from services.notifications.domain.invariants import broken
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import FindLost, PostWebhook, SendEmail
from services.notifications.domain.recalled import delivered, delivered_before, sent, sent_before
from services.notifications.domain.status_record import last_record
from services.notifications.explanation import explain
from services.notifications.gateways.feed_tokens import FeedTokens
from services.notifications.gateways.lost_messages import LostMessages
from services.notifications.gateways.smtp import SmtpEmails
from services.notifications.gateways.webhook import Webhooks
from services.notifications.http import routes
from services.notifications.settings import NotificationsSettings
from services.notifications.storage import ERASED, StoredEndpoints, StoredLost, storage
from shared.contracts import approval, checkout, delivery_work, erasure, notifications, order_work, store_status
from shared.core import Message, Operation, Ref, Topic
from shared.pay_links import PayLinks
from shared.shell.http.outbound import Outbound
from shared.shell.postgres.erasure import Erasing
from shared.shell.service import Invariants, Recall, Service

TO_ITSELF: list[type[Message]] = [notifications.PauseWebhook, notifications.ReplayWebhooks, notifications.ResendMails]
RECALLED: Mapping[type[Operation], Sequence[Recall]] = {
    SendEmail: (Recall(notifications.MessageStatusRecord, sent), Recall(notifications.EmailSent, sent_before)),
    PostWebhook: (
        Recall(notifications.MessageStatusRecord, delivered),
        Recall(notifications.WebhookDelivered, delivered_before),
    ),
}

COMMANDS: list[type[Message]] = [
    notifications.RegisterWebhook,
    notifications.RemoveWebhook,
    notifications.PauseWebhook,
    notifications.ResumeWebhook,
    notifications.ReplayWebhooks,
    notifications.ReplayLostWebhooks,
    notifications.ResendMails,
    notifications.ResendLostMails,
    notifications.SettleMail,
]
FACTS = (
    notifications.EmailFailed,
    notifications.EmailResent,
    notifications.EmailSettled,
    notifications.WebhookExhausted,
    notifications.WebhooksReplayed,
)
EMITS: Mapping[Topic, Collection[type[Message]]] = {
    notifications.EVENTS: FACTS,
    notifications.COMMANDS: TO_ITSELF,
    notifications.STATUS: [notifications.MessageStatusRecord],
}


def notifications_service(settings: NotificationsSettings, engine: AsyncEngine) -> Service:
    private, streams = settings.webhooks_to_private_addresses, settings.notifications.streams_per_feed
    emails = SmtpEmails(settings.smtp, links=PayLinks.of(settings.pay_page))
    webhooks = Webhooks(Outbound(private=private), StoredEndpoints(engine))
    tokens = FeedTokens(settings.notifications.feed_secret.get_secret_value())
    erasing = Erasing(engine, ERASED, settings.kafka.retention)
    return Service(
        name="notifications",
        cores=CORES,
        consumes={
            checkout.ORDERS: [
                checkout.OrderPlaced,
                *(
                    approval.OrderApprovalRequested,
                    approval.OrderCardNeeded,
                    approval.OrderAccepted,
                    approval.OrderDeclined,
                ),
                checkout.OrderPaid,
                checkout.OrderPaymentDeclined,
                checkout.OrderPaymentActionRequired,
                checkout.OrderPaymentReminder,
                checkout.OrderStrayCharge,
                checkout.OrderItemsDelivered,
                checkout.OrderDeliveryFailed,
                checkout.OrderDeliveryWaiting,
                *(checkout.OrderSupplyLow, delivery_work.OrderWaitsForStaff),
                checkout.OrderDeliveryResumed,
                checkout.OrderFailed,
                checkout.OrderCompleted,
                checkout.OrderCancelled,
                checkout.OrderExpired,
                checkout.OrderRefunded,
                *(checkout.OrderRefundFailed, order_work.OrderAsked, order_work.OrderAnswered),
                erasure.OrderErased,
            ],
            store_status.STATUS: [store_status.StoreStatusRecord],
            notifications.COMMANDS: COMMANDS,
        },
        emits=EMITS,
        refusal=notifications.NotificationsRefused,
        storage=storage,
        gateways={SendEmail: emails, PostWebhook: webhooks, FindLost: LostMessages(StoredLost(engine))},
        routes=routes(tokens, engine, streams, private=private),
        identify=tokens.read,
        resources=[emails.close, webhooks.close],
        invariants=[Invariants(NotificationLog, broken, reads=lambda log: [Ref(Endpoints, log.store.id)])],
        recalled=RECALLED,
        attention=ATTENTION,
        explain=explain,
        order_state=NotificationLog,
        status_records={NotificationLog: last_record},
        upkeep=[erasing.upkeep],
        tasks=[erasing.run],
    )
