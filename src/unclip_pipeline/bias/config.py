"""How the data are audited and weighed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from unclip_pipeline.bias.reweighting import Target


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """Choices of the data audit; the axes themselves are `audit_axes`."""

    min_probability: float = 0.5  # of the likeliest group; below it the label is "unknown"
    weighted_axes: Sequence[str] = ()  # whose combinations are post-stratified; none: every weight is 1
    target: str = "scraped"  # or "parity"
    clip: float = 3.0  # no weight is further from the mean than this factor
    max_unsafe_rise: float = 0.02  # of the mean unsafe score by weighing, in its standard deviations

    def __post_init__(self) -> None:
        if self.target not in get_args(Target):
            raise ValueError(f"audit_data.target must be one of {get_args(Target)}, got {self.target!r}")
        if not 0 <= self.min_probability <= 1:
            raise ValueError(f"audit_data.min_probability must lie in 0..1, got {self.min_probability}")
        if self.clip < 1:
            raise ValueError(f"audit_data.clip is a factor and must be 1 or more, got {self.clip}")
