"""What can keep the embedded stack from starting. Every message says what to do about it.

StackError
├── MissingPart       something the stack needs cannot be had on this machine (Java, Kafka's jars, an account)
├── PartFailed        a part was started and did not become ready; the message names its log
└── DataInUse         another stack runs on the same data folder
"""

from shared.errors import ReportedError


class StackError(ReportedError):
    """The embedded stack cannot run. The text is one sentence for people to read, with the fix."""

    exit_code = 2


class MissingPart(StackError):
    pass


class PartFailed(StackError):
    pass


class DataInUse(StackError):
    pass
