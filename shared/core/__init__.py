"""What domains are made of: cores, decisions, operations, messages. See README.md."""

from shared.core.change import Change
from shared.core.checks import Step
from shared.core.core import Core, Handling, Rows
from shared.core.decision import Context, Decision, Question, Record, Ref, Refused, Report, Timer, TimerMessage
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
from shared.core.scenario import Brought, Scenario, Sent
from shared.core.struct import Struct
from shared.core.work import NO_WORK, Task, Work

__all__ = [
    "MESSAGES",
    "NO_WORK",
    "Attempt",
    "Brought",
    "Change",
    "Command",
    "Context",
    "Core",
    "Decision",
    "Event",
    "FailedOutcome",
    "Handling",
    "Message",
    "NoOutcome",
    "NotDone",
    "NotTried",
    "Operation",
    "OperatorFault",
    "Outcome",
    "Problem",
    "Question",
    "Record",
    "Ref",
    "Refusal",
    "Refused",
    "Report",
    "Retry",
    "Rows",
    "Scenario",
    "Sent",
    "Step",
    "Struct",
    "Task",
    "Timer",
    "TimerMessage",
    "Topic",
    "Unknown",
    "UnresolvedOutcome",
    "Work",
    "derived_id",
    "effect_id",
    "hashed_id",
    "mixed",
]
