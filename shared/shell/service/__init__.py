"""What a service declares, and the look-ups that the shell makes of it."""

from shared.shell.service.service import Invariants, OwnReport, Recall, Service

__all__ = ["Invariants", "OwnReport", "Recall", "Service"]
