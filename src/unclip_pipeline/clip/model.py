"""Which CLIP is used, and how one that is trained from scratch is built."""

import difflib
import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from unclip_pipeline.clip.conv_tower import ConvTowerConfig, register_conv_tower
from unclip_pipeline.clip.open_clip_guard import open_clip

SCRATCH = "scratch"
OPEN_CLIP = "open_clip:"
FILE = "file:"
SCRATCH_PREPROCESSING = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"}
VOCABULARY = 49_408  # open_clip's byte-pair encoding, kept whole
FOREIGN_TEXTS = (
    "hf_model_name",
    "hf_tokenizer_name",
    "tokenizer_kwargs",
    "embed_cls",
)  # of an open_clip text_cfg
MAX_LOGIT_SCALE = math.log(100)


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """The picture-text encoder. A `source` other than scratch has sizes of its own, and so has an `architecture`."""

    source: str = SCRATCH  # or "open_clip:<model>/<tag or checkpoint path>", or "file:<folder>"
    architecture: str | Mapping[str, Any] = (
        ""  # of scratch: an open_clip model's name, or its config spelled out
    )
    width: int = 128  # of the embedding; equal to text_width, the text tower can be exported to diffusers
    image_side_px: int = 48
    fold: int = 2
    channels: tuple[int, ...] = (32, 64, 128)
    text_width: int = 128
    text_heads: int = 4
    text_layers: int = 2
    context_length: int = 32  # tokens, start and end included
    validation_share: float = 0.05  # of the training rows, held back by uid to measure retrieval

    def __post_init__(self) -> None:
        if self.source != SCRATCH and not self.source.startswith((OPEN_CLIP, FILE)):
            raise ValueError(
                'clip.source must be "scratch", "open_clip:<model>/<tag>" or "file:<folder>", got '
                f"{self.source!r}"
            )
        if self.source.startswith(OPEN_CLIP) and "/" not in self.source:
            raise ValueError(
                f"clip.source needs a tag or a checkpoint's path after the model, got {self.source!r}; "
                'try "open_clip:ViT-B-32/laion2b_s34b_b79k"'
            )
        if self.text_width % self.text_heads:
            raise ValueError(
                f"clip.text_width must be a multiple of clip.text_heads, got {self.text_width} and "
                f"{self.text_heads}; try {max(self.text_width // self.text_heads, 1) * self.text_heads}"
            )
        if self.context_length < 8:
            raise ValueError(f"clip.context_length must be at least 8 tokens, got {self.context_length}")
        if not 0 < self.validation_share < 0.5:
            raise ValueError(f"clip.validation_share must lie in (0, 0.5), got {self.validation_share}")
        _ = self.tower  # checks image_side_px, fold and channels
        if self.architecture and self.source != SCRATCH:
            raise ValueError(
                f"clip.architecture is of a CLIP trained from scratch, got it beside clip.source {self.source!r}; "
                "leave out one of them"
            )
        if self.architecture:
            check_trainable(published_architecture(self.architecture))

    @property
    def tower(self) -> ConvTowerConfig:
        """Give the image tower's part of the configuration."""
        return ConvTowerConfig(
            image_side_px=self.image_side_px, fold=self.fold, channels=tuple(self.channels)
        )


def scratch_architecture(config: ClipConfig) -> dict[str, Any]:
    """Describe the model to be trained in open_clip's words."""
    if config.architecture:
        return published_architecture(config.architecture)
    return {
        "name": config.tower.timm_name,
        "tower": asdict(config.tower),
        "model": {
            "embed_dim": config.width,
            "vision_cfg": {"timm_pool": "", "timm_proj": "", "image_size": config.image_side_px},
            "text_cfg": {
                "context_length": config.context_length,
                "vocab_size": VOCABULARY,
                "width": config.text_width,
                "heads": config.text_heads,
                "layers": config.text_layers,
            },
        },
        "preprocessing": SCRATCH_PREPROCESSING | {"size": config.image_side_px},
    }


def published_architecture(wanted: str | Mapping[str, Any]) -> dict[str, Any]:
    """Describe a model of open_clip's by name, or one whose open_clip config is spelled out."""
    name = wanted if isinstance(wanted, str) else "own_open_clip_config"
    model_config = (
        known_config(wanted, "clip.architecture") if isinstance(wanted, str) else deepcopy(dict(wanted))
    )
    if lacking := [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in model_config]:
        raise ValueError(
            f"clip.architecture: an open_clip config has embed_dim, vision_cfg and text_cfg, {lacking} is missing; "
            "spell it out as open_clip's own JSON files do"
        )
    model_config = fetching_nothing(model_config)
    side_px = model_config["vision_cfg"].get("image_size", 224)
    return {"name": name, "model": model_config, "preprocessing": SCRATCH_PREPROCESSING | {"size": side_px}}


def known_config(name: str, field: str) -> dict[str, Any]:
    """Give open_clip's own config of a model; an unknown name raises with the nearest that are known."""
    model_config = open_clip.get_model_config(name)
    if model_config is None:
        near = difflib.get_close_matches(name, open_clip.list_models(), n=3, cutoff=0.3)
        hint = f"the nearest are {', '.join(near)}; " if near else ""
        raise ValueError(
            f"{field}: open_clip knows no model {name!r}; {hint}open_clip.list_models() names them all"
        )
    return model_config


def fetching_nothing(model_config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of an open_clip config what would download a tower's weights when it is built."""
    model_config = {key: value for key, value in model_config.items() if key != "custom_text"}
    for tower in ("vision_cfg", "text_cfg"):
        model_config[tower] = {k: v for k, v in model_config[tower].items() if not k.endswith("_pretrained")}
    if "hf_model_name" in model_config["text_cfg"]:
        model_config["text_cfg"]["hf_model_pretrained"] = False  # which is not open_clip's default
    return model_config


def check_trainable(architecture: dict[str, Any]) -> None:
    """Raise unless a model can be built of this, and be trained as the small one is."""
    name, texts = architecture["name"], architecture["model"]["text_cfg"]
    foreign = [key for key in FOREIGN_TEXTS if texts.get(key)]
    foreign += ["pool_type"] if texts.get("pool_type", "argmax") != "argmax" else []
    foreign += ["vocab_size"] if texts.get("vocab_size", VOCABULARY) != VOCABULARY else []
    if foreign:
        raise ValueError(
            f"clip.architecture: what is trained from scratch reads open_clip's own tokens at the end of the text, "
            f"{name} has {', '.join(foreign)} in text_cfg; choose another, such as ViT-B-32 or RN50"
        )
    if not isinstance(side_px := architecture["preprocessing"]["size"], int):
        raise ValueError(
            f"clip.architecture: a CLIP must see square pictures, {name} has image_size {side_px}; give one number"
        )
    try:
        with torch.device("meta"):
            build_model(architecture)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise ValueError(f"clip.architecture: open_clip cannot build {name}: {error}") from error


def build_model(architecture: dict[str, Any]) -> nn.Module:
    """Build open_clip's own model class from an architecture; the weights are random."""
    model_config = architecture["model"]
    if "multimodal_cfg" in model_config:
        raise ValueError(
            f"a CLIP has two towers, {architecture.get('name')} has a captioning one besides; choose an "
            "open_clip model whose config has no multimodal_cfg"
        )
    if tower := architecture.get("tower"):
        name = register_conv_tower(ConvTowerConfig(**tower | {"channels": tuple(tower["channels"])}))
        model_config = model_config | {"vision_cfg": model_config["vision_cfg"] | {"timm_model_name": name}}
    return open_clip.CustomTextCLIP(**model_config)


def initial_model(config: ClipConfig, *, seed: int) -> nn.Module:
    """Build the model to be trained from scratch; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):  # torch initialises layers from the global generator only
        torch.manual_seed(seed)
        return build_model(scratch_architecture(config))
