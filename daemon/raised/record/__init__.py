"""The single writer: facts in, decisions, and one transaction for both.

Nothing else writes facts, so numbers of changes grow in the order in which they become visible.
"""

from raised.record.dirty import Policy
from raised.record.writer import record, remember, rewind

__all__ = ["Policy", "record", "remember", "rewind"]
