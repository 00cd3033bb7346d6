"""What notifications is made of: what it consumes and emits, its tables, its gateways. The only place that wires."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifications.domain import endpoints, threads
from services.notifications.domain.invariants import broken
from services.notifications.domain.operations import FindLost, PostWebhook, SendEmail
from services.notifications.domain.state import Endpoints, NotificationLog
from services.notifications.gateways.lost import LostMessages
from services.notifications.gateways.smtp import SmtpMails
from services.notifications.gateways.webhook import Webhooks
from services.notifications.http import routes
from services.notifications.settings import NotificationsSettings
from services.notifications.storage import StoredEndpoints, StoredLost, storage
from shared.contracts import checkout, notifications
from shared.core import Ref
from shared.shell.http.outbound import Outbound
from shared.shell.service import Invariants, Service


def notifications_service(settings: NotificationsSettings, engine: AsyncEngine) -> Service:
    mails = SmtpMails(settings.smtp)
    webhooks = Webhooks(Outbound(private=settings.webhooks_to_private_addresses), StoredEndpoints(engine))
    return Service(
        name="notifications",
        cores=[threads, endpoints],
        consumes=[checkout.ORDERS, notifications.COMMANDS],
        emits=notifications.EMITS,
        refusal=notifications.NotificationsRefused,
        storage=storage,
        gateways={SendEmail: mails, PostWebhook: webhooks, FindLost: LostMessages(StoredLost(engine))},
        routes=routes,
        resources=[mails.close, webhooks.close],
        invariants=[Invariants(NotificationLog, broken, reads=lambda log: [Ref(Endpoints, log.store.id)])],
    )
