"""Files and folders that appear under their final name only when they are whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

SUCCESS = "_SUCCESS"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling that is fsynced and renamed to `path`, or removed if the block fails."""
    temporary = _sibling(path)
    try:
        yield temporary
        _fsync(temporary)
        os.replace(temporary, path)
        _fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling folder that replaces `path` whole, marked complete by `_SUCCESS`."""
    temporary = _sibling(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        (temporary / SUCCESS).touch()
        for file in temporary.rglob("*"):
            if file.is_file():
                _fsync(file)
        _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_complete(folder: Path) -> bool:
    """Tell whether a folder was finished by its writer."""
    return (folder / SUCCESS).is_file()


def _sibling(path: Path) -> Path:
    """Name a temporary sibling, and remove those that killed processes left behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{escape(path.name)}.*.*"):
        process_id, _, kind = stale.name[len(path.name) + 2 :].partition(".")
        if kind in {"part", "old"} and process_id.isdigit() and not _is_alive(int(process_id)):
            _remove(stale)
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _replace_folder(new: Path, path: Path) -> None:
    """Swap `new` in; a kill between the two renames leaves no folder, never a half-written one."""
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    if path.exists():
        os.rename(path, old)
    os.rename(new, path)
    _fsync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
