"""Sends the commands of jobs to their owners, in the name of who started the job."""

from __future__ import annotations

import orjson

from services.staff.jobs.owner import CommandOutcome, OrderCommand, OwnerAway, outcome_of
from services.staff.owners.client import Owners
from shared.shell.http.assertions import RequestHead
from shared.shell.http.principals import Principal
from shared.shell.http.problems import ProblemResponse


class OwnersSender:
    """See `CommandSender`."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners

    async def send(self, command: OrderCommand) -> CommandOutcome:
        caller = Principal(command.actor, command.permissions, frozenset({command.store}))
        head = RequestHead("POST", command.path, "application/json", command.key)
        try:
            answer = await self._owners.send(caller, command.service, head, orjson.dumps(dict(command.body)))
        except ProblemResponse as problem:
            raise OwnerAway(problem.title) from None
        return outcome_of(command.service, answer.status, answer.body)
