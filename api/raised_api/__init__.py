"""The HTTP API: a window on the record. It reads, and never sees a source."""
