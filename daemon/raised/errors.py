"""The error tree, split by who must act.

RaisedError
├── ConfigError              the operator must edit something            exit 78, no restart
├── SourceError              the outside; carries `source`
│   ├── Unavailable          try again later; may carry `retry_after`    wait, log the change
│   ├── Refused              asked wrongly, or not allowed               stop asking, show in health
│   └── BadData              answered, but the answer is wrong           drop this item, count it
├── InvalidInput(ValueError) text or bytes that are no domain value      BadData at an edge, 400
└── RecordError
    ├── RecordUnavailable    locked too long, disconnected               end the process; 503
    │   └── RecordReplaced   deleted or replaced while it was in use     end the process
    ├── WrongRecord          other network, other schema                 exit 78
    └── NotInRecord          no such thing                               404
"""


class RaisedError(Exception):
    """Everything we raise on purpose."""


class ConfigError(RaisedError):
    """The operator must edit something; `problems` names each place and what is wrong there."""

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else problems
        super().__init__("; ".join(self.problems))


class SourceError(RaisedError):
    """Trouble with a relay, an explorer or a store."""

    def __init__(self, source: str, detail: str, code: str = "error") -> None:
        self.source = source
        self.detail = detail
        self.code = code
        super().__init__(f"{source}: {detail}")


class Unavailable(SourceError):
    """No answer, or not now. Try again, after `retry_after` seconds when the source said so."""

    def __init__(
        self, source: str, detail: str, code: str = "unavailable", retry_after: int | None = None
    ) -> None:
        super().__init__(source, detail, code)
        self.retry_after = retry_after


class Refused(SourceError):
    """The source will not answer this question, however often it is asked."""


class BadData(SourceError):
    """The source answered, and the answer is wrong."""


class InvalidInput(RaisedError, ValueError):
    """Text or bytes that are no value of the domain."""


class RecordError(RaisedError):
    """Trouble with our own record."""


class RecordUnavailable(RecordError):
    """The database is locked too long, full or away."""


class RecordReplaced(RecordUnavailable):
    """The files of the database are not those that were opened; `str` says what to do."""


class WrongRecord(RecordError):
    """The database belongs to another network or schema."""


class NotInRecord(RecordError):
    """There is no such thing in the record."""
