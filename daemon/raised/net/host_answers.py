"""Whether a host answers at all, judged by all its answers and not by the last.

One question that a host refuses says something about the question. Many different ones, and not
one answered in between, say something about the host, whatever the status codes were
(docs/containment.md).
"""

from typing import Final

from raised.net.source_health import ErrorText

_MOST_QUESTIONS: Final = 3  # different ones that may be refused in a row
_MOST_TIMES: Final = 6  # that the same few may be refused in a row


class HostAnswers:
    """What a host answered since it last gave an answer of use."""

    def __init__(self) -> None:
        self._questions: set[str] = set()
        self._times = 0
        self._last: ErrorText | None = None

    def on_answer(self) -> None:
        """It answered a question as it should."""
        self._questions.clear()
        self._times, self._last = 0, None

    def on_refusal(self, question: str, code: str, detail: str) -> None:
        """It gave nothing of use to this question (a route, without ids)."""
        if len(self._questions) < _MOST_QUESTIONS:
            self._questions.add(question)
        self._times += 1
        self._last = (code, detail)

    @property
    def refused(self) -> ErrorText | None:
        """The last code and sentence of a host that refuses everything; None when it does not."""
        refuses = len(self._questions) >= _MOST_QUESTIONS or self._times >= _MOST_TIMES
        return self._last if refuses else None
