"""What befalls the files of a SQLite record while programs use it."""

import shutil
import sqlite3
from pathlib import Path


def backup_of(record: Path) -> Path:
    """A backup, as SQLite makes them."""
    backup = record.with_name("backup.db")
    source, target = sqlite3.connect(record), sqlite3.connect(backup)
    source.backup(target)
    for connection in (source, target):
        connection.close()
    return backup


def delete(record: Path) -> None:
    record.unlink()


def rename(record: Path) -> None:
    record.rename(record.with_name("old.db"))


def move_backup_over(record: Path) -> None:
    backup_of(record).replace(record)


def copy_backup_over(record: Path) -> None:
    shutil.copyfile(backup_of(record), record)


def empty(record: Path) -> None:
    record.write_bytes(b"")


def delete_log(record: Path) -> None:
    record.with_name(f"{record.name}-wal").unlink()


def replace_log(record: Path) -> None:
    log = record.with_name(f"{record.name}-wal")
    log.rename(record.with_name("old-wal"))
    log.touch()


def delete_index(record: Path) -> None:
    record.with_name(f"{record.name}-shm").unlink()


ACCIDENTS = (
    delete,
    rename,
    move_backup_over,
    copy_backup_over,
    empty,
    delete_log,
    replace_log,
    delete_index,
)
