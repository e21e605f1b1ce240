"""The one door to diffusers and transformers; both import torchvision, which needs its own guard first."""

import unclip_pipeline.clip.open_clip_guard  # noqa: F401

try:
    import diffusers.pipelines
    import diffusers.pipelines.deprecated.unclip as unclip_module
    from diffusers import (
        DDIMScheduler,
        DPMSolverMultistepScheduler,
        PriorTransformer,
        UnCLIPImageVariationPipeline,
        UnCLIPPipeline,
        UnCLIPScheduler,
        UNet2DConditionModel,
        UNet2DModel,
    )
    from diffusers.pipelines.deprecated.unclip import UnCLIPTextProjModel
    from transformers import (
        CLIPImageProcessor,
        CLIPTextConfig,
        CLIPTextModelWithProjection,
        CLIPTokenizer,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )
except ModuleNotFoundError as fault:
    raise ModuleNotFoundError(
        f"export needs diffusers and transformers, and {fault.name} is missing: "
        "pip install 'unclip_pipeline[export]'"
    ) from fault

__all__ = [
    "CLIPImageProcessor",
    "CLIPTextConfig",
    "CLIPTextModelWithProjection",
    "CLIPTokenizer",
    "CLIPVisionConfig",
    "CLIPVisionModelWithProjection",
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "PriorTransformer",
    "UNet2DConditionModel",
    "UNet2DModel",
    "UnCLIPImageVariationPipeline",
    "UnCLIPPipeline",
    "UnCLIPScheduler",
    "UnCLIPTextProjModel",
    "diffusers",
    "unclip_module",
]
