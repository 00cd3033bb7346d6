"""What a service declares, and the look-ups that the shell makes of it."""

from shared.shell.service.service import Invariants, Recall, Service

__all__ = ["Invariants", "Recall", "Service"]
