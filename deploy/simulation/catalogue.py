"""What the simulated store sells, and what buying it brings."""

from __future__ import annotations

from shared.contracts.discord import DiscordRole
from shared.contracts.fulfillment import Action, CourseAccess, Download, ManualTask, RedemptionCode, Shipment
from shared.contracts.http_action import HttpAction, HttpCall

PRICES = {"file": 500, "key": 1200, "course": 9900, "mug": 1500, "rare": 4200, "odd": 700}
GIFT = "gift"
"""Comes for nothing with some orders."""
COURSE = CourseAccess(url="https://courses.example/access", enter="https://courses.example")
ACTIONS: dict[str, tuple[Action, bool]] = {
    "file": (Download(file="a.zip"), False),
    "key": (RedemptionCode(pool="keys"), False),
    "course": (COURSE, False),
    "mug": (Shipment(), True),
    GIFT: (Download(file="gift.zip"), False),
    "rare": (CourseAccess(url="https://courses.example/rare"), True),
}
"""What buying brings, and whether stock is counted. `odd` is left for staff to configure later."""
FURTHER: dict[str, tuple[Action, ...]] = {
    "file": (
        DiscordRole(connection="main", role="613425648685547544", member="80351110224678912"),
        HttpAction(
            url="https://school.example/members?name={{customer.email}}",
            body={"order": "{{order.number}}"},
            revoke=HttpCall(method="DELETE", url="https://school.example/members?order={{order.number}}"),
        ),
    ),
    "key": (RedemptionCode(pool="keys"), Download(file="manual.pdf")),
    "course": (Download(file="workbook.pdf"),),
    "mug": (CourseAccess(url="https://courses.example/brewing"),),
    "rare": (ManualTask(text="Call {{customer.name}} about order {{order.number}}."),),
}
"""Further actions, in some runs."""
OFFER, OFFERED = "members", (CourseAccess(url="https://courses.example/members"), RedemptionCode(pool="keys"))
