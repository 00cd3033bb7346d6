"""Operations: dataclasses without a decorator, with outcomes of their own."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

import pytest

from shared.core import FailedOutcome, Operation, Outcome, Record, Struct, TimerMessage, UnresolvedOutcome, codec
from shared.core.fast_dataclasses import replace


class ProviderOperation(Operation, safe_to_repeat=True, give_up_after=None):
    provider: str

    class Failed(FailedOutcome):
        reason: str = ""


class Charge(ProviderOperation, timeout=5.0, give_up_after=timedelta(days=1)):
    amount: int
    token: str = field(default="", repr=False)
    data: dict[str, Any] = field(default_factory=dict)

    class Done(Outcome):
        charge: str

    class Unresolved(UnresolvedOutcome):
        """The provider does not answer."""

        tries: int = 0


class Refund(ProviderOperation):
    class Done(Outcome):
        pass


class Remind(TimerMessage):
    at: int = 1


class RemindAgain(Remind):
    tries: int = 2


class TestOutcomes:
    def test_each_class_has_outcomes_of_its_own(self) -> None:
        assert set(Charge.outcomes()) == {Charge.Done, Charge.Failed, Charge.Unresolved}
        assert not set(Charge.outcomes()) & set(Refund.outcomes())
        assert {outcome.answers for outcome in Charge.outcomes()} == {Charge}
        assert Refund.Failed.answers is Refund and ProviderOperation.Failed.answers is ProviderOperation

    def test_they_keep_what_a_base_adds(self) -> None:
        assert Refund.Failed("no", "No.", reason="old card").reason == "old card"
        assert Charge.Unresolved("No answer.", tries=3).tries == 3
        assert issubclass(Refund.Failed, FailedOutcome) and issubclass(Refund.Unresolved, UnresolvedOutcome)

    def test_their_names_are_told_apart(self) -> None:
        assert (Charge.Failed.__qualname__, Refund.Failed.__qualname__) == ("Charge.Failed", "Refund.Failed")
        assert repr(Refund.Failed("no", "No.")) == "Refund.Failed(code='no', text='No.', reason='')"
        assert Refund.Failed.__module__ == __name__

    def test_outcomes_of_two_operations_are_never_equal(self) -> None:
        failed: object = Charge.Failed("no", "No.")
        assert failed == Charge.Failed("no", "No.")
        assert failed != Refund.Failed("no", "No.")


class TestSettings:
    def test_they_are_said_by_the_class_and_inherited(self) -> None:
        assert (Charge.timeout, Charge.safe_to_repeat, Charge.give_up_after) == (5.0, True, timedelta(days=1))
        assert (Refund.timeout, Refund.safe_to_repeat, Refund.give_up_after) == (30.0, True, None)

    def test_an_unknown_one_is_an_error(self) -> None:
        with pytest.raises(TypeError, match="no setting pace"):
            type("Wrong", (Operation,), {}, pace=1)


class TestFields:
    @pytest.mark.parametrize(
        "value",
        [
            Charge("stripe", 500, token="tok", data={"a": [1]}),
            Charge.Done("ch_1"),
            Refund.Failed("no", "No.", "old card"),
            RemindAgain(5),
        ],
    )
    def test_they_are_dataclasses_and_survive_json(self, value: Any) -> None:
        assert codec.load(type(value), codec.dump(value)) == value
        first = fields(value)[0].name
        changed = replace(value, **{first: getattr(value, first)})
        assert changed == value and changed is not value
        assert {changed, value} == {value} if not isinstance(value, Charge) else True

    def test_defaults_and_options(self) -> None:
        first, second = Charge("stripe", 1), Charge("stripe", 1)
        first.data["a"] = 1
        assert second.data == {}
        assert "token" not in repr(first)
        assert RemindAgain() == RemindAgain(at=1, tries=2)
        with pytest.raises(TypeError, match="amount"):
            Charge("stripe")  # type: ignore[call-arg]

    def test_post_init(self) -> None:
        class Positive(Record):
            amount: int

            def __post_init__(self) -> None:
                if self.amount < 0:
                    raise ValueError("is negative")

        assert Positive(1).amount == 1
        with pytest.raises(ValueError, match="is negative"):
            Positive(-1)

    def test_a_decorator_in_addition_to_the_base_is_an_error(self) -> None:
        with pytest.raises(TypeError, match="leave the decorator out"):

            @dataclass(frozen=True, slots=True)
            class Twice(Struct):
                x: int
