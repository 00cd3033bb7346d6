"""What was delivered outside is what fulfillment has on record."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.check.evidence import Findings
from deploy.simulation.access import wrong_grants, wrong_roles
from deploy.simulation.evidence import Broken
from deploy.simulation.game_checks import commands_as_configured, commands_run_once, ranks_as_recorded
from deploy.simulation.trial import Trial
from services.fulfillment.domain.delivery import Delivery, ItemStatus
from services.fulfillment.domain.kinds.code import pool_of
from shared.contracts.fulfillment import CourseAccess, RedemptionCode


def access_as_recorded(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Who may enter a course is who was given it and not shut out again."""
    for key, delivery in found.of(Delivery).items():
        for item in delivery.items:
            by_hand = item.status is ItemStatus.DELIVERED and item.instructions and item.instructions.kind == "manual"
            unclear = by_hand or item.in_doubt or item.status is ItemStatus.REVOCATION_FAILED
            if not isinstance(item.action, CourseAccess) or unclear:
                continue
            has, should = trial.world.platform.access.get((key, item.id), False), item.status is ItemStatus.DELIVERED
            if has != should:
                yield "access_as_recorded", key, f"item {item.id} is {item.status}, but access is {has}"


def consoles_as_recorded(trial: Trial, found: Findings) -> Iterator[Broken]:
    console = trial.world.console
    yield from (("commands_as_configured", *broken) for broken in commands_as_configured(console))
    yield from (("commands_run_once", *broken) for broken in commands_run_once(console))
    yield from (("ranks_as_recorded", *broken) for broken in ranks_as_recorded(console, found))


def given_elsewhere_as_recorded(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Who has access by an HTTP action, or a role, is who was given it; a role as long as any order gives it."""
    deliveries = found.of(Delivery)
    for key, text in (*wrong_grants(trial.world.school, deliveries), *wrong_roles(trial.world.discord, deliveries)):
        yield "given_elsewhere_as_recorded", key, text


def codes_given_once(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Every code that a customer has is taken from the pool for exactly that item."""
    for key, delivery in found.of(Delivery).items():
        for item in delivery.items:
            pool = pool_of(item)
            if pool is None or item.status is not ItemStatus.DELIVERED or item.instructions is None:
                continue
            codes = item.instructions.codes or (item.instructions.code,)
            wanted = item.quantity * (item.action.per_unit if isinstance(item.action, RedemptionCode) else 1)
            taken = trial.world.pools.pools[delivery.row_key(pool)].codes
            if any(taken.get(code or "") != (key, item.id) for code in codes) or len(codes) != wanted:
                yield "codes_given_once", key, f"item {item.id} has {codes}, which are not its own in the pool"
    yield from codes_of_two(found)


def codes_of_two(found: Findings) -> Iterator[Broken]:
    """Codes that two items have had: a customer keeps what they have seen, also when it was revoked."""
    had: dict[tuple[str, str], str] = {}
    for key, delivery in found.of(Delivery).items():
        for item in delivery.items:
            given = item.instructions
            if given is None or given.kind != "code":
                continue
            for code in given.codes or (given.code or "",):
                other = had.setdefault((delivery.store, code), f"{key} {item.id}")
                if other != f"{key} {item.id}":
                    yield "codes_given_once", key, f"item {item.id} has {code}, which {other} has had"
