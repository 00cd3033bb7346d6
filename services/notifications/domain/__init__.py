"""Who is told what, and how. Pure: no I/O, no clock, no random numbers."""

from services.notifications.domain import arrivals, lost, mail_outcomes  # their handlers complete the two cores
from services.notifications.domain.endpoints import endpoints
from services.notifications.domain.threads import threads

__all__ = ["arrivals", "endpoints", "lost", "mail_outcomes", "threads"]
