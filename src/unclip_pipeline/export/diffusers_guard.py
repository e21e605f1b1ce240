"""The one door to diffusers and transformers; both import torchvision, which needs its own guard first."""

import unclip_pipeline.clip.open_clip_guard  # noqa: F401

try:
    from diffusers import (
        DDIMScheduler,
        DPMSolverMultistepScheduler,
        PriorTransformer,
        UnCLIPScheduler,
        UNet2DConditionModel,
        UNet2DModel,
    )
except ModuleNotFoundError as fault:
    raise ModuleNotFoundError(
        f"export needs diffusers and transformers, and {fault.name} is missing: "
        "pip install 'unclip_pipeline[export]'"
    ) from fault

__all__ = [
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "PriorTransformer",
    "UNet2DConditionModel",
    "UNet2DModel",
    "UnCLIPScheduler",
]
