"""Where a dataset version lies: on this disk, or on any filesystem that fsspec knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class RemoteFolder:
    """A folder of any filesystem that fsspec knows, and the folder of this disk that keeps what was read."""

    url: str
    cache: Path
    cache_gb: int | float = 50  # kept by all processes together; 0: nothing, samples are read by byte range
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of fsspec; may hold secrets

    def __post_init__(self) -> None:
        if "://" not in self.url:
            raise ValueError(
                f"a remote folder is named by a URL such as s3://bucket/folder, got {self.url!r}"
            )
        if self.cache_gb < 0:
            raise ValueError(f"cache_gb must not be negative, got {self.cache_gb}")

    def __str__(self) -> str:
        return self.url


DatasetPlace = Path | RemoteFolder
