"""What a service declares, and the look-ups that the shell makes of it."""

from shared.shell.service.service import Service

__all__ = ["Service"]
