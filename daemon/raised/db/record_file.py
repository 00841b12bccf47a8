"""Whether the files of a SQLite record are still those that this process has opened.

A process keeps its files open when they are deleted or replaced, and would go on to write where
nobody will ever read. Source: https://sqlite.org/walformat.html and howtocorrupt.html.
"""

import os
from collections.abc import Callable
from pathlib import Path
from struct import unpack_from
from threading import Lock
from typing import ClassVar, Final, NamedTuple, Self
from weakref import WeakValueDictionary

from raised.errors import RecordReplaced

Inode = tuple[int, int]  # device and number: a file itself, whatever its name
LogFiles = tuple[Inode | None, Inode | None]  # the write-ahead log and its index

_INDEX_BYTES: Final = 136  # of the index of the write-ahead log, up to the state of checkpoints
_READ_ONLY: Final = os.O_RDONLY | os.O_CLOEXEC


class _Checkpoints(NamedTuple):
    """How far the write-ahead log was copied into the file: `copied` of `attempted` frames of the
    log with this salt.
    """

    salt: bytes
    copied: int
    attempted: int


class _Written(NamedTuple):
    """When the file was last written, and the checkpoints that were known before that was read."""

    checkpoints: _Checkpoints | None
    mtime_ns: int


class RecordFile:
    """The file of a record, from when the process begins to use it. All that use it share one: what
    one of them has noticed, a checkpoint before its next look must not hide from another.
    """

    _used: ClassVar[WeakValueDictionary[Path, Self]] = WeakValueDictionary()

    @classmethod
    def at(cls, path: Path) -> Self:
        """The file at this path; another one where that was replaced before it is opened anew."""
        used = cls._used.get(path)
        if used is None or not used.is_as_opened():
            cls._used[path] = used = cls(path)
        return used

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log_path = path.with_name(path.name + "-wal")
        self._index_path = path.with_name(path.name + "-shm")
        self._inode = _inode(path)
        self._index: tuple[Inode, int] | None = None  # with its descriptor
        self._written: _Written | None = None
        self._written_by_others = False
        self._needs_new_start = False
        self._lock = Lock()  # the inbox has a thread of its own

    def is_as_opened(self) -> bool:
        """Whether nothing has been noticed, and the path still names this file."""
        return _inode(self._path) == self._inode and not self._written_by_others

    def opened(self) -> Callable[[], None]:
        """The check of a connection that was just opened, to be made around its transactions. It
        raises RecordReplaced when a file was deleted or replaced, or was written by others.
        """
        # As long as the connection is open, SQLite neither deletes nor replaces these; it may
        # create them at its first statement only.
        log_files = self._log_files()

        def require_unchanged() -> None:
            nonlocal log_files
            if None in log_files:
                log_files = self._log_files()
            self._require_unchanged(log_files)

        return require_unchanged

    def _log_files(self) -> LogFiles:
        return _inode(self._log_path), _inode(self._index_path)

    def _require_unchanged(self, log_files: LogFiles) -> None:
        self.require_same()
        if self._log_files() != log_files:
            raise RecordReplaced(
                f"{self._log_path} or {self._index_path.name}, which belong to the record, were "
                "deleted or replaced while they were in use: what was written last may be lost; "
                "start again and run `raised db check`"
            )

    def note_read_only(self) -> None:
        """A new connection could only read, too. All connections of a process share what SQLite has
        opened: once the files can be written again, only a new start can.
        """
        files = (self._path.parent, self._path, self._log_path, self._index_path)
        self._needs_new_start = all(os.access(file, os.W_OK) for file in files if file.exists())

    def require_same(self) -> None:
        """Go on only while the file is the one that the process began with: before connecting, too,
        since SQLite would create it anew.

        Raises:
            RecordReplaced: it was deleted or replaced, or was written by others.
        """
        found = _inode(self._path)
        if found is None:
            raise RecordReplaced(
                f"the record {self._path} was deleted while it was in use: put it or a backup back "
                "and start again; a start without it needs `raised db upgrade` and begins anew"
            )
        if self._needs_new_start:
            raise RecordReplaced(
                f"the record {self._path} was opened while it could not be written, and now it "
                "can: start again"
            )
        if found != self._inode or self._was_written_by_others():
            raise RecordReplaced(
                f"the record {self._path} was replaced while it was in use: start again to go on "
                "with what is there now, and stop raised before a backup is put back"
            )

    def _was_written_by_others(self) -> bool:
        """Whether the file was written though no checkpoint was: so does a copy over it.

        The order is what makes this certain: a checkpoint notes what it attempts before it writes
        the file, and what it has copied afterwards.
        """
        with self._lock:
            self._written_by_others = self._written_by_others or self._is_written_anew()
            return self._written_by_others

    def _is_written_anew(self) -> bool:
        before = self._checkpoints()
        try:
            mtime_ns = self._path.stat().st_mtime_ns
        except OSError:
            return False  # the next look says that it was deleted
        last, self._written = self._written, _Written(before, mtime_ns)
        if last is None or mtime_ns == last.mtime_ns:
            return False
        return (
            before is not None
            and last.checkpoints == before == self._checkpoints()
            and before.copied == before.attempted
        )

    def _checkpoints(self) -> _Checkpoints | None:
        """The state of checkpoints; None where it is not known."""
        inode = _inode(self._index_path)
        if inode is None:
            return None
        if self._index is None or self._index[0] != inode:
            # Never closed: closing any descriptor of it drops the locks that SQLite holds on it in
            # this process.
            self._index = inode, os.open(self._index_path, _READ_ONLY)
        index = os.pread(self._index[1], _INDEX_BYTES, 0)
        if len(index) < _INDEX_BYTES:
            return None
        (copied,), (attempted,) = unpack_from("=I", index, 96), unpack_from("=I", index, 128)
        return _Checkpoints(index[32:40], copied, attempted)


def _inode(path: Path) -> Inode | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
