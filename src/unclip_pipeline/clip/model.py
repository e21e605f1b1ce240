"""Which CLIP is used: a small one trained from scratch, open_clip's by name and tag, or one from a folder."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unclip_pipeline.clip.conv_tower import ConvTowerConfig, register_conv_tower
from unclip_pipeline.clip.open_clip_guard import open_clip
from unclip_pipeline.weights import Weights, load_weights

SCRATCH = "scratch"
OPEN_CLIP = "open_clip:"
FILE = "file:"
SCRATCH_PREPROCESSING = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"}
VOCABULARY = 49_408  # open_clip's byte-pair encoding, kept whole
MAX_LOGIT_SCALE = math.log(100)


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """The picture-text encoder. A `source` other than scratch has sizes of its own."""

    source: str = SCRATCH  # or "open_clip:<model>/<tag or checkpoint path>", or "file:<folder>"
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

    @property
    def tower(self) -> ConvTowerConfig:
        """Give the image tower's part of the configuration."""
        return ConvTowerConfig(
            image_side_px=self.image_side_px, fold=self.fold, channels=tuple(self.channels)
        )


def scratch_architecture(config: ClipConfig) -> dict[str, Any]:
    """Describe the small model in open_clip's words."""
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


def named_weights(config: ClipConfig) -> Weights:
    """Fetch the weights that `clip.source` names; nothing is trained.

    A tag is downloaded by open_clip the first time; a path or a folder needs no network.
    """
    if config.source.startswith(FILE):
        return _weights_from_folder(Path(config.source.removeprefix(FILE)))
    name, _, tag = config.source.removeprefix(OPEN_CLIP).partition("/")
    architecture = open_clip.get_model_config(name)
    if architecture is None:
        raise ValueError(f"clip.source: open_clip knows no model {name!r}; see open_clip.list_models()")
    # open_clip only warns when a tag was trained with another activation than the model's config says
    tag_facts = open_clip.get_pretrained_cfg(name, tag) or {}
    quick = bool(tag_facts.get("quick_gelu", architecture.get("quick_gelu", False)))
    model = open_clip.create_model(name, pretrained=tag, force_custom_text=True, force_quick_gelu=quick)
    return _weights_of(model, architecture | {"quick_gelu": quick}, name=name)


def _weights_from_folder(folder: Path) -> Weights:
    if (folder / "config.json").is_file():
        return load_weights(folder)
    if not (folder / "open_clip_config.json").is_file():
        raise FileNotFoundError(
            f"clip.source: {folder} holds neither weights of this pipeline (config.json) nor of open_clip "
            "(open_clip_config.json)"
        )
    name = f"local-dir:{folder}"
    model = open_clip.create_model(name, force_custom_text=True, require_pretrained=True)
    return _weights_of(model, open_clip.get_model_config(name), name=folder.name)


def _weights_of(model: nn.Module, model_config: dict[str, Any], *, name: str) -> Weights:
    model_config = {key: value for key, value in model_config.items() if key != "custom_text"}
    for tower in ("vision_cfg", "text_cfg"):  # built again later, it must fetch nothing
        model_config[tower] = {k: v for k, v in model_config[tower].items() if not k.endswith("_pretrained")}
    if "hf_model_name" in model_config["text_cfg"]:
        model_config["text_cfg"]["hf_model_pretrained"] = False  # which is not open_clip's default
    preprocessing = _preprocessing(model.visual.preprocess_cfg, name)
    architecture = {"name": name, "model": model_config, "preprocessing": preprocessing}
    return Weights(dict(model.state_dict()), {"kind": "clip", "architecture": architecture})


def _preprocessing(seen: dict[str, Any], name: str) -> dict[str, Any]:
    """Take over what open_clip does to a picture before it is shown to this model."""
    sides = {seen["size"]} if isinstance(seen["size"], int) else set(seen["size"])
    if len(sides) > 1:
        raise ValueError(f"a CLIP must see square pictures, {name} sees {seen['size']}; choose another model")
    kept = {key: list(seen[key]) for key in ("mean", "std")}
    kept |= {key: seen[key] for key in ("interpolation", "resize_mode", "fill_color")}
    return kept | {"size": sides.pop()}
