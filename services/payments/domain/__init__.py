"""How money moves. Pure: no I/O, no clock, no random numbers."""

from services.payments.domain import charging, looking, settling
from services.payments.domain.refunding import payments

__all__ = ["charging", "looking", "payments", "settling"]
