"""Secrets as gateways need them: the value, or why no call can be made."""

from __future__ import annotations

import sqlalchemy as sa

from services.fulfillment.secrets import Secrets
from shared.core import NotTried, OperatorFault
from shared.shell.sealer import CannotOpen


async def asked(secrets: Secrets, store: str, name: str) -> str | OperatorFault | NotTried:
    try:
        found = await secrets.secret(store, name)
    except CannotOpen:
        return OperatorFault(f"Secret {name} cannot be opened by the present data keys: orderbus secrets set.")
    except (sa.exc.SQLAlchemyError, OSError, TimeoutError):
        return NotTried("The fulfillment database does not answer.")
    if found is None:
        return OperatorFault(f"The store's secret {name} is not set: orderbus secrets set.")
    return found
