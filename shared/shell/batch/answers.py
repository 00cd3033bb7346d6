"""Answers to the questions that handlers ask of the database (`asks`): each is searched for once in a batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from shared.core import Question
from shared.shell.ports.store import Transaction
from shared.shell.ports.tables import Search


class Answers:
    def __init__(self, searches: Mapping[type[Question], Search]) -> None:
        self._searches = searches
        self._known: dict[Question, bool] = {}

    async def find(self, tx: Transaction, questions: Collection[Question]) -> None:
        """One statement for each kind of question, none where nothing is asked."""
        missing = [question for question in dict.fromkeys(questions) if question not in self._known]
        for kind in dict.fromkeys(map(type, missing)):
            asked = [question for question in missing if type(question) is kind]
            yes = await tx.search(self._searches[kind], asked)
            self._known |= {question: question in yes for question in asked}

    def of(self, questions: Collection[Question]) -> dict[Question, bool]:
        return {question: self._known[question] for question in questions}
