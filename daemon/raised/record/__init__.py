"""The one writer: observations in, facts and what follows from them in one transaction each batch.

Nothing else writes facts, so the numbers of changes grow in the order in which they become visible.
"""

from raised.record.dirty_set import Policy
from raised.record.writer import apply_observations, rewind, write_observations

__all__ = ["Policy", "apply_observations", "rewind", "write_observations"]
