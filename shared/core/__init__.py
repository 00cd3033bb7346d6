"""What domains are made of: cores, decisions, operations, messages. See README.md."""

from shared.core.core import Core, Handling, LookUp, Rows, context_at
from shared.core.decision import Context, Decision, Record, Ref, Refused, Report, Timer, TimerMessage
from shared.core.ids import derived_id, effect_id, hashed_id, mixed
from shared.core.messages import MESSAGES, Attempt, Command, Event, Message, Problem, Refusal, Topic
from shared.core.operation import (
    FailedOutcome,
    NoOutcome,
    NotDone,
    NotTried,
    Operation,
    OperatorFault,
    Outcome,
    Retry,
    Unknown,
    UnresolvedOutcome,
)

__all__ = [
    "MESSAGES",
    "Attempt",
    "Command",
    "Context",
    "Core",
    "Decision",
    "Event",
    "FailedOutcome",
    "Handling",
    "LookUp",
    "Message",
    "NoOutcome",
    "NotDone",
    "NotTried",
    "Operation",
    "OperatorFault",
    "Outcome",
    "Problem",
    "Record",
    "Ref",
    "Refusal",
    "Refused",
    "Report",
    "Retry",
    "Rows",
    "Timer",
    "TimerMessage",
    "Topic",
    "Unknown",
    "UnresolvedOutcome",
    "context_at",
    "derived_id",
    "effect_id",
    "hashed_id",
    "mixed",
]
