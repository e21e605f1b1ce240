"""How to scrape."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# Choices that change how fast or how patiently we ask, not what a shard holds when all is well.
_NOT_IN_THE_BYTES = frozenset(
    (
        "url_column caption_column heldout_share threads timeout_s total_timeout_s min_bytes_per_s grace_s "
        "retries per_host_connections per_host_delay_s max_crawl_delay_s private_hosts contact "
        "retry_failed placeholder_urls placeholder_hosts"
    ).split()
)

RESIZE_MODES = ("keep_ratio_largest", "keep_ratio", "center_crop", "border", "no")


@dataclass(frozen=True, kw_only=True)
class ScrapeConfig:
    """What to ask for, how politely, and what to keep."""

    url_column: str = "url"
    caption_column: str = "caption"
    heldout_share: float = 0.05  # of the rows that come without a split
    shard_size: int = 1000  # URLs in a shard
    threads: int = 16  # URLs in flight in each process
    timeout_s: float = 10.0  # without a byte
    total_timeout_s: float = 30.0  # for one URL, with its redirects and retries
    min_bytes_per_s: int = 1024  # of an answer, once it has had its grace
    grace_s: float = 5.0
    retries: int = 1  # of 408, 425, 429, 5xx and connection faults
    per_host_connections: int = 4  # in each process
    per_host_delay_s: float = 0.0  # between two requests of a process to one host; its Crawl-delay if longer
    max_crawl_delay_s: float = 30.0  # a host that asks for more is left alone
    max_redirects: int = 5
    max_bytes: int = 32 * 2**20
    max_pixels: int = 50_000_000  # read from the header, before decoding
    min_side_px: int = 8
    max_side_px: int = 512  # larger images are scaled to it
    resize_mode: str = "keep_ratio_largest"  # or keep_ratio, center_crop, border, no: as img2dataset has them
    jpeg_quality: int = 95  # of images that cannot be kept as fetched
    respect_robots: bool = True  # the Allow and Disallow lines of robots.txt
    refused_directives: Sequence[str] = ("noai", "noimageai", "noml", "none")  # in X-Robots-Tag and meta tags
    refuse_tdm_reservation: bool = True  # reserved text and data mining, whatever policy is offered
    # Ours among the usages of Content-Usage, with the names of its drafts, and of Content-Signal.
    refused_usages: Sequence[str] = ("train-ai", "train-genai", "genai", "ai", "ai-train")
    # Most owners say nothing. "fetch" takes that as a no to nothing, which is not the same as a yes; "refuse"
    # keeps only what somebody allowed, such as by `Content-Usage: train-ai=y` or `tdm-reservation: 0`.
    when_unknown: str = "fetch"
    contact: str = ""  # e-mail address or URL, in the user agent: who answers for this crawl
    private_hosts: Sequence[str] = ()  # "host" or "host:port": may have private addresses, needs no contact
    retry_failed: bool = False  # ask once more for rows whose last fate may pass; see plan.may_pass
    placeholder_urls: int = 20  # the same bytes behind so many URLs are no image of anything
    placeholder_hosts: int = 10  # or behind URLs of so many hosts

    def __post_init__(self) -> None:
        for name in ("refused_directives", "refused_usages", "private_hosts"):
            words = getattr(self, name)
            if isinstance(words, str):
                raise ValueError(f"scrape.{name} must be a list, got {words!r}")
            object.__setattr__(self, name, tuple(map(str.lower, words)))
        for host in self.private_hosts:
            if not host or any(sign in host for sign in "/@ *"):
                raise ValueError(
                    f"scrape.private_hosts takes `host` or `host:port`, got {host!r}; leave out scheme and path"
                )
        if self.when_unknown not in ("fetch", "refuse"):
            raise ValueError(f"scrape.when_unknown must be 'fetch' or 'refuse', got {self.when_unknown!r}")
        for name in (
            "shard_size", "threads", "max_bytes", "max_pixels", "min_side_px", "max_side_px",
            "per_host_connections", "placeholder_urls", "placeholder_hosts",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"scrape.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("retries", "max_redirects", "min_bytes_per_s", "per_host_delay_s", "max_crawl_delay_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"scrape.{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("timeout_s", "total_timeout_s", "grace_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"scrape.{name} must be more than 0 seconds, got {getattr(self, name)}")
        if self.resize_mode not in RESIZE_MODES:
            raise ValueError(f"scrape.resize_mode must be one of {RESIZE_MODES}, got {self.resize_mode!r}")
        if not 0 <= self.heldout_share < 1:
            raise ValueError(f"scrape.heldout_share must lie in [0, 1), got {self.heldout_share}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"scrape.jpeg_quality must lie in 1..100, got {self.jpeg_quality}")
        if self.min_side_px > self.max_side_px:
            raise ValueError(
                f"scrape.min_side_px must not exceed scrape.max_side_px, got {self.min_side_px} and "
                f"{self.max_side_px}; nothing would be kept"
            )
        if "\n" in self.contact or "\r" in self.contact:
            raise ValueError(f"scrape.contact must be one line, got {self.contact!r}")

    def in_the_bytes(self) -> dict[str, Any]:
        """Name the choices that a shard's content depends on."""
        return {name: value for name, value in asdict(self).items() if name not in _NOT_IN_THE_BYTES}
