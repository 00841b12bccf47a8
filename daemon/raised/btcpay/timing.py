"""How long to wait for what. Tests wait for milliseconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreTiming:
    """Pauses in seconds.

    `poll`: between two looks at the inbox. `wake`: the least between two of them, however often
    the record commits. `echo`: an invoice is fetched again so long after its last event, because
    an answer may be older than the event. `page`: from one page of a bulk read to the next.
    `rest`: between two months of a store too large to be read at once. `first` and `most`: the
    waits after failures. `locked_out`: before a key that was refused is tried again. `look`:
    between two looks at the server itself. `health`: moved figures are told so often at most.
    """

    poll: float = 1.0
    wake: float = 0.2
    echo: float = 60.0
    page: float = 1.0
    rest: float = 3600.0
    first: float = 2.0
    most: float = 300.0
    locked_out: float = 300.0
    look: float = 300.0
    health: float = 30.0
