"""Who is told what, and how. Pure: no I/O, no clock, no random numbers."""

from services.notifications.domain import arrivals  # its handlers complete the core of threads
from services.notifications.domain.endpoints import endpoints
from services.notifications.domain.threads import threads

__all__ = ["arrivals", "endpoints", "threads"]
