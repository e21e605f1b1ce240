"""How pictures are drawn."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How pictures are drawn. Guidance 1 is none."""

    sampler: Literal["ddim", "dpm_solver_pp_2m", "ddpm"] = "ddim"
    eta: float = 0.0  # ddim only: 0 adds no noise, 1 as much as ancestral sampling
    prior_steps: int = 16
    prior_guidance: float = 1.5
    prior_samples: int = 2  # drawn a caption; the one nearest to its text embedding is kept
    prior_limit: float = 5.0  # standard deviations beyond which no embedding goes
    decoder_steps: int = 16
    decoder_guidance: float = 2.0
    upsampler_steps: int = 2
    upsampler_noise: float = 0.0  # how noisy the upsampler is told that small pictures are, 0 to 1
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name in ("prior_steps", "prior_samples", "decoder_steps", "upsampler_steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"sampling.{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.upsampler_noise <= 1:
            raise ValueError(f"sampling.upsampler_noise must lie in [0, 1], got {self.upsampler_noise}")
        if min(self.prior_guidance, self.decoder_guidance) < 0 or not 0 <= self.eta <= 1:
            raise ValueError(
                "sampling needs guidance >= 0 and eta in 0..1, got "
                f"{self.prior_guidance=}, {self.decoder_guidance=}, {self.eta=}"
            )
        if self.sampler not in ("ddim", "dpm_solver_pp_2m", "ddpm"):
            raise ValueError(f"sampling.sampler must be ddim, dpm_solver_pp_2m or ddpm, got {self.sampler!r}")
