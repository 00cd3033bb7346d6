"""A storefront that waits for Kafka."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from deploy.client.storefront import KafkaUnreachable, Published, Storefront
from shared.settings import KafkaSettings


class PatientStorefront(Storefront):
    """Keeps what its customers do until Kafka takes it."""

    def __init__(self, settings: KafkaSettings, within: float) -> None:
        """`within`: seconds in which Kafka must take a record."""
        super().__init__(settings)
        self._within = within

    async def publish_raw(self, *record: Any) -> Published:
        async with asyncio.timeout(self._within):
            while True:
                with contextlib.suppress(KafkaUnreachable):
                    return await super().publish_raw(*record)
                await asyncio.sleep(1)
