"""The kinds of actions: one line each. Nothing else names them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.fulfillment.domain.delivery import Item
from services.fulfillment.domain.kind import Kind
from services.fulfillment.domain.kinds.code import CODE
from services.fulfillment.domain.kinds.course import COURSE
from services.fulfillment.domain.kinds.discord_role import DISCORD_ROLE
from services.fulfillment.domain.kinds.download import DOWNLOAD
from services.fulfillment.domain.kinds.http_action import HTTP_ACTION
from services.fulfillment.domain.kinds.manual import MANUAL
from services.fulfillment.domain.kinds.rcon import RCON
from services.fulfillment.domain.kinds.shipment import SHIPMENT
from services.fulfillment.domain.kinds.unconfigured import UNCONFIGURED
from shared.contracts.discord import DiscordRole
from shared.contracts.fulfillment import CourseAccess, Download, ManualTask, RedemptionCode, Shipment
from shared.contracts.http_action import HttpAction
from shared.contracts.rcon import RconCommands

KINDS: Mapping[type, Kind[Any]] = {
    Download: DOWNLOAD,
    RedemptionCode: CODE,
    CourseAccess: COURSE,
    Shipment: SHIPMENT,
    RconCommands: RCON,
    HttpAction: HTTP_ACTION,
    DiscordRole: DISCORD_ROLE,
    ManualTask: MANUAL,
    type(None): UNCONFIGURED,
}
"""By the class of their configuration."""


def kind_of(item: Item) -> Kind[Any]:
    return KINDS[type(item.action)]
