"""How pictures are drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from unclip_pipeline.training.cascade import TILE_OVERLAP_PX


@dataclass(frozen=True, kw_only=True)
class Enlarging:
    """How one stage of super-resolution draws; its sampler is DDIM, as published."""

    steps: int = 2
    noise: float | None = None  # see SamplingConfig.upsampler_noise; None: as in training
    eta: float = 0.0
    tile_px: int = 0
    tile_overlap_px: int = TILE_OVERLAP_PX


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How pictures are drawn. Guidance 1 is none.

    Noise of an upsampler is how noisy it is told that small pictures are or, of one that is not told, the
    share of the usual noise that it starts from: 0 is the picture it expects, 1 one picture of many.
    """

    sampler: Literal["ddim", "dpm_solver_pp_2m", "ddpm"] = "ddim"  # of prior and decoder
    eta: float = 0.0  # ddim only: 0 adds no noise, 1 as much as ancestral sampling
    prior_steps: int = 16
    prior_guidance: float = 1.5
    prior_samples: int = 2  # drawn a caption; the one nearest to its text embedding is kept
    prior_limit: float = 5.0  # standard deviations beyond which no embedding goes
    decoder_steps: int = 16
    decoder_guidance: float = 2.0
    upsampler_steps: int | None = None  # of every upsampler; None: as many as each was validated with
    upsampler_noise: float | None = None  # 0 to 1, of every upsampler; None: what each was best with
    tile_px: int = 0  # upsamplers see squares of this side of larger pictures; 0: whole pictures
    tile_overlap_px: int = TILE_OVERLAP_PX  # of neighbouring squares, which are blended there
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name in ("prior_steps", "prior_samples", "decoder_steps", "upsampler_steps", "batch_size"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"sampling.{name} must be at least 1, got {count}")
        if self.upsampler_noise is not None and not 0 <= self.upsampler_noise <= 1:
            raise ValueError(f"sampling.upsampler_noise must lie in [0, 1], got {self.upsampler_noise}")
        if min(self.prior_guidance, self.decoder_guidance) < 0 or not 0 <= self.eta <= 1:
            raise ValueError(
                "sampling needs guidance >= 0 and eta in 0..1, got "
                f"{self.prior_guidance=}, {self.decoder_guidance=}, {self.eta=}"
            )
        if self.sampler not in ("ddim", "dpm_solver_pp_2m", "ddpm"):
            raise ValueError(f"sampling.sampler must be ddim, dpm_solver_pp_2m or ddpm, got {self.sampler!r}")

    def enlarging(self, facts: Mapping[str, Any]) -> Enlarging:
        """How an upsampler draws: as its facts say it was validated, but for what is set here."""
        steps = self.upsampler_steps or facts.get("sampling_steps", Enlarging.steps)
        noise = facts.get("best_noise") if self.upsampler_noise is None else self.upsampler_noise
        return Enlarging(
            steps=steps,
            noise=noise,
            eta=self.eta,
            tile_px=self.tile_px,
            tile_overlap_px=self.tile_overlap_px,
        )
