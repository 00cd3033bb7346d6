"""Faults that tests and demos inject into an outside system: refusals and delays, forever or a number of times."""

import asyncio

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """What to do instead of answering well."""

    model_config = ConfigDict(extra="forbid")

    answer: int | None = Field(default=None, ge=400, le=599, description="HTTP status, or SMTP reply code")
    delay: float = Field(default=0, ge=0, le=600, description="seconds before any answer")
    times: int | None = Field(default=None, ge=1, description="how often; forever where missing")
    every: int = Field(default=1, ge=1, description="strikes one call out of so many, the last of them")


class Faults:
    """At most one injected fault, counted down as it strikes."""

    def __init__(self) -> None:
        self._injected: Fault | None = None
        self._calls = 0
        """Since it was injected."""
        self.struck = 0

    def inject(self, fault: Fault) -> None:
        self._injected, self._calls = fault, 0

    def clear(self) -> None:
        self._injected = None

    def take(self) -> Fault | None:
        """The fault for this call, if there is one."""
        fault = self._injected
        if fault is None:
            return None
        self._calls += 1
        if self._calls % fault.every:
            return None
        self.struck += 1
        if fault.times is not None:
            left = fault.times - 1
            self._injected = fault.model_copy(update={"times": left}) if left else None
        return fault

    async def strike(self) -> int | None:
        """Wait as the fault says, and return the status to answer with, if any."""
        fault = self.take()
        if fault is None:
            return None
        await asyncio.sleep(fault.delay)
        return fault.answer
