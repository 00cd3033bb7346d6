"""The permissions that there are: wire types of commands that come over HTTP, and names of what is read. Routes name
them; settings that name others are refused at startup."""

from __future__ import annotations

PERMISSIONS = (
    *("attention.read", "codes.add", "codes.read", "delivery.read", "delivery.retry", "delivery.settle"),
    *(
        "destinations.read",
        "destinations.resume",
        "discord.configure",
        "discord.read",
        "extras.configure",
        "feed.mark",
        "feed.read",
        "feed.token",
    ),
    *(
        "carrier.configure",
        "carrier.read",
        "code.provide",
        "download.renew",
        "file.read",
        "file.write",
        "pool.configure",
    ),
    *("ledger.read", "mail.resend", "mail.resend_lost", "mail.settle", "monitor.read", "notification.read"),
    *("order.accept", "order.reopen", "order.decline"),
    *("offer.configure", "operations.read", "order.cancel", "order.complete", "order.read", "order.ship"),
    *("parked.read", "parked.retry", "parked.skip", "payment.read", "payment.record", "payment.refund"),
    *("payment.settle", "product.configure", "product.read", "secret.read", "secret.set"),
    *("server.configure", "server.read", "server.test", "sku.define"),
    *(
        "sku.read",
        "stock.read",
        "stock.receive",
        "store.change",
        "store.configure",
        "store.read",
        "timers.read",
        "undeliverable.drop",
    ),
    *("undeliverable.read", "undeliverable.retry", "webhook.pause", "webhook.read", "webhook.register"),
    *("webhook.remove", "webhook.replay", "webhook.replay_lost", "webhook.resume"),
    *("order.answer", "order.message", "order.note"),
    *("delivery.attach", "delivery.grant_again", "delivery.hold", "delivery.mark_delivered", "delivery.release"),
    *(
        "delivery.resend",
        "delivery.start",
        "product.define",
        "delivery.return",
        "delivery.revoke",
        "parcel.delivered",
        "stock.adjust",
        "stock.set",
    ),
)
