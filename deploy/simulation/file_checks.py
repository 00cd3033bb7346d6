"""What must hold of customers' files at rest: each gets their own, whole, and for as long as it is theirs."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.check.evidence import Findings
from deploy.simulation.evidence import Broken
from deploy.simulation.trial import Trial
from services.fulfillment import downloads
from services.fulfillment.domain.attached_files import ORDERS
from services.fulfillment.domain.delivery import CANCELLED, Delivery, Item
from services.notifications.domain.notification_log import NotificationLog


def files_of_their_own(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Whatever happens: a link in an order's email is that order's, and leads to no file that was made for another."""
    emails = ((key, email.id) for key, log in found.of(NotificationLog).items() for email in log.emails)
    for key, id in emails:
        for claim in trial.world.links.claims(trial.world.mails.given.get(id, "")):
            if claim.order != key:
                yield "files_of_their_own", key, f"an email has a link of {claim.order}"
    for key, item in _items(found):
        for file in item.files:
            if file.file.startswith(ORDERS) and not file.file.startswith(f"{ORDERS}{key}/"):
                yield "files_of_their_own", key, f"item {item.id} has {file.file}, which was made for another order"


def files_are_there(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Also after a restore: what an item is said to have is stored, as it was uploaded."""
    uploaded = {upload.place[2]: upload.content for upload in trial.file_staff.uploads}
    stored = trial.world.cabinet.files
    for key, item in _items(found):
        for name in (file.file for file in item.files if file.file.startswith(ORDERS)):
            if name not in stored:
                yield "files_are_there", key, f"item {item.id} has {name}, which is not stored"
            elif stored[name] != uploaded.get(name, stored[name]):
                yield "files_are_there", key, f"{name} of item {item.id} has another upload's content"


def files_as_attached(trial: Trial, found: Findings) -> Iterator[Broken]:
    """What was accepted is attached and was sent; what was refused left no file; what was renewed was sent again."""
    staff, deliveries = trial.file_staff, found.of(Delivery)
    for upload in staff.uploads:
        key, about, file = upload.place
        item = deliveries[key].find(about) if key in deliveries else None
        attached = item is not None and item.attached_file(file) is not None
        if attached != upload.accepted:
            text = f"the upload of {file} for item {about} was {'accepted' if upload.accepted else 'refused'}"
            yield "files_as_attached", key, f"{text}, and it is {'attached' if attached else 'not attached'}"
        if not upload.accepted and file in trial.world.cabinet.files:
            yield "files_as_attached", key, f"{file} was refused, and is stored"
        if upload.accepted and upload.notify and not staff.links[upload.place] and not _was_revoked(trial, key, item):
            yield "files_as_attached", key, f"no link to {file} of item {about} was sent"
    for place, before in staff.renewed:
        key, about, file = place
        item = deliveries[key].find(about) if key in deliveries else None
        if staff.links[place] <= before and not _was_revoked(trial, key, item):
            yield "files_as_attached", key, f"no new link to {file} of item {about} was sent"


def links_end_with_their_item(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Every link that a customer ever got works as long as its item is not revoked, and no longer."""
    deliveries = found.of(Delivery)
    for key, about, file in trial.file_staff.links:
        item = deliveries[key].find(about) if key in deliveries else None
        revoked, wanted = item is None or item.status in CANCELLED, downloads.wanted_file(item, file)
        if revoked and wanted:
            yield "links_end_with_their_item", key, f"{wanted.file} of item {about}, which was revoked, can be had"
        if not revoked and file and (wanted is None or wanted.file != file):
            yield "links_end_with_their_item", key, f"the link to {file} of item {about} leads to {wanted}"


def _items(found: Findings) -> Iterator[tuple[str, Item]]:
    for key, delivery in found.of(Delivery).items():
        for item in delivery.items:
            yield key, item


def _was_revoked(trial: Trial, key: str, item: Item | None) -> bool:
    """Then a link may never have been told of."""
    return item is None or item.status in CANCELLED or (key, item.about) in trial.file_staff.revoked


FILES = (files_of_their_own, files_are_there, files_as_attached, links_end_with_their_item)
FILES_AFTER_A_RESTORE = (files_of_their_own, files_are_there)
