"""Shards: WebDataset tars that are byte-identical whenever their samples are."""

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from unclip_pipeline.corpus.files import atomic_path

IMAGE_EXTENSIONS = ("jpg", "png", "webp")


class Sample(NamedTuple):
    """One pair as it lies in a shard: `<uid>.<extension>`, `<uid>.json`, `<uid>.txt`."""

    uid: str
    image: bytes
    extension: str
    caption: str
    meta: dict[str, Any]


class Member(NamedTuple):
    """Where the bytes of one member lie in its tar."""

    name: str
    offset: int
    size: int


def tar_bytes(path: Path, members: Iterable[tuple[str, bytes | Callable[[], bytes]]]) -> list[Member]:
    """Write named bytes as a tar, sorted by name, with no time, owner or group in the headers.

    Content may be what reads it when its turn comes, so that a tar never has to fit into memory.
    """
    ordered = sorted(members, key=lambda member: member[0])
    for (name, _), (following, _) in zip(ordered, ordered[1:], strict=False):
        if name == following:
            raise ValueError(f"a tar needs distinct member names, got {name!r} twice for {path.name}")
    written, place = [], 0
    with atomic_path(path) as temporary, temporary.open("wb", buffering=2**20) as tar:
        for name, held in ordered:
            content = held() if callable(held) else held
            padding = _zeros(len(content), tarfile.BLOCKSIZE)
            tar.writelines((_header(name, len(content)), content, padding))
            written.append(Member(name, place + tarfile.BLOCKSIZE, len(content)))
            place += tarfile.BLOCKSIZE + len(content) + len(padding)
        tar.write(bytes(2 * tarfile.BLOCKSIZE))
        tar.write(_zeros(place + 2 * tarfile.BLOCKSIZE, tarfile.RECORDSIZE))
    return written


def write_shard(
    path: Path,
    samples: Iterable[Sample],
    extra: Callable[[Sample], Mapping[str, bytes]] | None = None,
) -> list[Member]:
    """Write samples as one shard; `extra` gives further members of a sample by suffix ("image.npy")."""
    return tar_bytes(path, (member for sample in samples for member in members_of(sample, extra)))


def members_of(
    sample: Sample, extra: Callable[[Sample], Mapping[str, bytes]] | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield the members of a sample by name, as `write_shard` has them."""
    if sample.extension not in IMAGE_EXTENSIONS:
        raise ValueError(
            f"a shard holds {IMAGE_EXTENSIONS}, got {sample.extension!r} for {sample.uid}; re-encode it"
        )
    yield f"{sample.uid}.{sample.extension}", sample.image
    yield f"{sample.uid}.json", json.dumps(sample.meta, sort_keys=True, ensure_ascii=False).encode()
    yield f"{sample.uid}.txt", sample.caption.encode()
    for suffix, content in (extra(sample) if extra is not None else {}).items():
        yield f"{sample.uid}.{suffix}", content


def read_shard(path: Path) -> Iterator[Sample]:
    """Yield the samples of a shard in uid order, leaving out members beyond image, caption and meta."""
    with _opened(path) as tar:
        uid, parts = "", {}
        for entry in tar:
            entry_uid, _, suffix = entry.name.partition(".")
            if entry_uid != uid and parts:
                yield _sample(path, uid, parts)
                parts = {}
            uid = entry_uid
            parts[suffix] = tar.extractfile(entry).read() if suffix in _READ else b""
        if parts:
            yield _sample(path, uid, parts)


def _opened(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:")
    except tarfile.ReadError as fault:
        raise ValueError(
            f"{path} is no whole tar ({fault}); remove it and run the pipeline that wrote it again"
        ) from fault


def shard_paths(folder: Path) -> list[Path]:
    """List the tars of a folder in shard order."""
    return sorted(folder.glob("[0-9]*.tar"))


_MOST_IN_DIGITS = 8**11 - 1  # bytes
_SIZE, _CHECKSUM = slice(124, 135), slice(148, 154)
_NAMELESS = tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)
_NAMELESS_SUM = int(_NAMELESS[_CHECKSUM], 8) - sum(_NAMELESS[_SIZE])
_READ = frozenset((*IMAGE_EXTENSIONS, "json", "txt"))


def _sample(path: Path, uid: str, parts: dict[str, bytes]) -> Sample:
    extension = next((suffix for suffix in IMAGE_EXTENSIONS if suffix in parts), None)
    if extension is None or "json" not in parts or "txt" not in parts:
        raise ValueError(
            f"a sample needs an image, json and txt, {uid} of {path.name} has {sorted(parts)}; "
            "write the shard again"
        )
    return Sample(uid, parts[extension], extension, parts["txt"].decode(), json.loads(parts["json"]))


def _header(name: str, size: int) -> bytes:
    """Write a member's header as tarfile does, which takes longer than reading the member's bytes."""
    if not name.isascii() or len(name) > tarfile.LENGTH_NAME or size > _MOST_IN_DIGITS:
        member = tarfile.TarInfo(name)
        member.size = size
        return member.tobuf(tarfile.USTAR_FORMAT)
    written, digits = name.encode(), b"%011o" % size
    header = bytearray(_NAMELESS)
    header[: len(written)] = written
    header[_SIZE] = digits
    header[_CHECKSUM] = b"%06o" % (_NAMELESS_SUM + sum(written) + sum(digits))
    return bytes(header)


def _zeros(size: int, block: int) -> bytes:
    """Fill up the last block."""
    return bytes(-size % block)
