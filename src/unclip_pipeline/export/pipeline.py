"""The stack as one diffusers pipeline, and the folder it is loaded from."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unclip_pipeline.clip.model import build_model
from unclip_pipeline.export.prior import prior_to_diffusers
from unclip_pipeline.export.projection import projection_to_diffusers
from unclip_pipeline.export.towers import (
    clip_tokenizer,
    feature_extractor,
    image_tower_to_transformers,
    text_tower_to_transformers,
    why_pictures_not_exportable,
)
from unclip_pipeline.export.unet import decoder_to_diffusers, upsampler_to_diffusers
from unclip_pipeline.models.prior import load_prior
from unclip_pipeline.models.unet import Unet, load_unet
from unclip_pipeline.weights import Weights

if TYPE_CHECKING:
    from diffusers import UnCLIPImageVariationPipeline, UnCLIPPipeline

PREDICTIONS = {"x0": "sample", "eps": "epsilon"}
PROJECTION = "UnCLIPTextProjModel"
PROJECTION_FILE = f'''"""Where diffusers keeps unCLIP's projections since 0.38; read with trust_remote_code=True."""

from diffusers.pipelines.deprecated.unclip import {PROJECTION}

__all__ = ["{PROJECTION}"]
'''


def unclip_pipeline_of(
    *, clip: Weights, prior: Weights, decoder: Weights, upsampler: Weights, prior_limit: float
) -> "UnCLIPPipeline":
    """Build the pipeline that draws as this stack does with ancestral sampling and one sample of the prior."""
    from unclip_pipeline.export.diffusers_guard import UnCLIPPipeline

    architecture, model = clip.config["architecture"], _clip_model(clip)
    small, large = load_unet(decoder, "decoder"), load_unet(upsampler, "upsampler")
    length = model.text.context_length
    pipeline = UnCLIPPipeline(
        text_encoder=text_tower_to_transformers(model.text, architecture),
        tokenizer=clip_tokenizer(length),
        prior=prior_to_diffusers(load_prior(prior), context_length=length),
        text_proj=projection_to_diffusers(small),
        decoder=decoder_to_diffusers(small),
        super_res_first=upsampler_to_diffusers(large),
        super_res_last=upsampler_to_diffusers(large),
        prior_scheduler=_scheduler("sample", limit=prior_limit),
        decoder_scheduler=_scheduler(PREDICTIONS[small.config.target], learned=True),
        super_res_scheduler=_unet_scheduler(large),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_unclip(pipeline: "UnCLIPPipeline", folder: Path) -> None:
    """Write the pipeline so that `load_unclip` can read it.

    Of the ways to name the projections, this is the one that older diffusers load as it is, and newer ones
    once told where they are.
    """
    pipeline.save_pretrained(folder)
    index = folder / "model_index.json"
    described = json.loads(index.read_text()) | {"text_proj": ["unclip", PROJECTION]}
    index.write_text(json.dumps(described, indent=2, sort_keys=True) + "\n")
    (folder / "text_proj" / "unclip.py").write_text(PROJECTION_FILE)


def save_picture_tower(clip: Weights, folder: Path) -> list[str]:
    """Write image encoder and feature extractor, which image variations need; or say why there are none."""
    architecture = clip.config["architecture"]
    if reasons := why_pictures_not_exportable(architecture):
        return [f"clip.{reason}" for reason in reasons]
    image_tower_to_transformers(_clip_model(clip).visual, architecture).save_pretrained(
        folder / "image_encoder"
    )
    feature_extractor(architecture).save_pretrained(folder / "feature_extractor")
    return []


def load_unclip(folder: Path | str) -> "UnCLIPPipeline":
    """Load an exported stack as diffusers' pipeline, offline and without running code from the folder.

    diffusers 0.38 and later no longer find the projections' class where their own index says it is; while this
    loads, they are told.
    """
    from unclip_pipeline.export.diffusers_guard import UnCLIPPipeline

    if not (Path(folder) / "model_index.json").is_file():
        raise FileNotFoundError(
            f"{folder} is no exported stack: it has no model_index.json; run `kedro export`"
        )
    with _projections_found():
        return UnCLIPPipeline.from_pretrained(Path(folder), local_files_only=True)


def load_variations(folder: Path | str) -> "UnCLIPImageVariationPipeline":
    """Load the pipeline that draws a picture anew; only a stack whose picture tower was exported has one."""
    from unclip_pipeline.export.diffusers_guard import (
        CLIPImageProcessor,
        CLIPVisionModelWithProjection,
        UnCLIPImageVariationPipeline,
    )

    folder = Path(folder)
    if not (folder / "image_encoder").is_dir():
        raise FileNotFoundError(
            f"{folder} offers no image variations: its CLIP has a picture tower that transformers cannot express; "
            "`kedro draw vary` draws them from the bundle"
        )
    parts: Mapping[str, Any] = load_unclip(folder).components
    shared = {name: part for name, part in parts.items() if not name.startswith("prior")}
    return UnCLIPImageVariationPipeline(
        **shared,
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder"),
        feature_extractor=CLIPImageProcessor.from_pretrained(folder / "feature_extractor"),
    )


@contextmanager
def _projections_found() -> Iterator[None]:
    """Let diffusers find its unCLIP module under the name that folders give it."""
    from unclip_pipeline.export.diffusers_guard import diffusers, unclip_module

    known = hasattr(diffusers.pipelines, "unclip")
    if not known:
        diffusers.pipelines.unclip = unclip_module
    try:
        yield
    finally:
        if not known:
            del diffusers.pipelines.unclip


def _clip_model(clip: Weights) -> Any:
    model = build_model(clip.config["architecture"])
    model.load_state_dict(clip.tensors)
    return model.eval().requires_grad_(False)


def _unet_scheduler(unet: Unet) -> Any:
    return _scheduler(PREDICTIONS[unet.config.target], learned=unet.config.learned_variance)


def _scheduler(prediction: str, *, limit: float = 1.0, learned: bool = False) -> Any:
    from unclip_pipeline.export.diffusers_guard import UnCLIPScheduler

    return UnCLIPScheduler(
        prediction_type=prediction,
        clip_sample_range=limit,
        variance_type="learned_range" if learned else "fixed_small_log",
    )
