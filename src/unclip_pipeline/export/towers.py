"""CLIP as transformers' classes: the text tower, the picture tower where it is a plain transformer, the tokenizer."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from unclip_pipeline.clip.model import VOCABULARY
from unclip_pipeline.clip.open_clip_guard import open_clip

SIZES = {"width", "layers", "mlp_ratio"}
TEXT_FREE = SIZES | {"heads", "context_length", "vocab_size", "output_tokens", "hf_model_pretrained"}
IMAGE_FREE = SIZES | {
    "head_width",
    "patch_size",
    "image_size",
    "patch_dropout",
    "pos_embed_type",
    "output_tokens",
}
PLAIN = "its image encoder is the plain transformer"
RESAMPLING = {"bilinear": 2, "bicubic": 3}  # Pillow's numbers


def why_text_not_exportable(architecture: dict[str, Any]) -> list[str]:
    """List what in a CLIP's text tower and tokenizer diffusers' unCLIP cannot express; empty when it can."""
    config, embedding = _text_config(architecture), architecture["model"]["embed_dim"]
    reasons = [
        f"text_cfg.{name} {value!r}: its text encoder is the plain one"
        for name, value in _departures(config, TEXT_FREE)
    ]
    if config.width != embedding:
        reasons.append(
            f"text_cfg.width {config.width} is not embed_dim {embedding}: it knows one width for both"
        )
    if config.vocab_size != VOCABULARY:
        reasons.append(f"text_cfg.vocab_size {config.vocab_size}: its tokenizer has {VOCABULARY} tokens")
    return reasons


def why_pictures_not_exportable(architecture: dict[str, Any]) -> list[str]:
    """List why a picture tower cannot become transformers'; empty when it can."""
    if "tower" in architecture:
        return [f"channels {architecture['tower']['channels']}: {PLAIN}, this one is convolutional"]
    config = _image_config(architecture)
    if config.timm_model_name:
        return [f"vision_cfg.timm_model_name {config.timm_model_name}: {PLAIN}"]
    if isinstance(config.layers, list | tuple):
        return [f"vision_cfg.layers {config.layers}: {PLAIN}, this one is a ResNet"]
    reasons = [f"vision_cfg.{name} {value!r}: {PLAIN}" for name, value in _departures(config, IMAGE_FREE)]
    if (mode := architecture["preprocessing"].get("resize_mode", "shortest")) == "longest":
        reasons.append(f"preprocessing.resize_mode {mode}: its feature extractor adds no borders")
    return reasons


def text_tower_to_transformers(tower: nn.Module, architecture: dict[str, Any]) -> nn.Module:
    """Build the CLIPTextModelWithProjection that computes what this text tower does."""
    from unclip_pipeline.export.diffusers_guard import CLIPTextConfig, CLIPTextModelWithProjection

    config = _text_config(architecture)
    other = CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=config.vocab_size,
            max_position_embeddings=config.context_length,
            num_attention_heads=config.heads,
            bos_token_id=VOCABULARY - 2,
            eos_token_id=VOCABULARY - 1,
            pad_token_id=VOCABULARY - 1,
            **_shape(architecture, config, tower.ln_final),
        )
    )
    tensors = {
        "text_model.embeddings.token_embedding.weight": tower.token_embedding.weight,
        "text_model.embeddings.position_embedding.weight": tower.positional_embedding,
        "text_model.final_layer_norm.weight": tower.ln_final.weight,
        "text_model.final_layer_norm.bias": tower.ln_final.bias,
        "text_projection.weight": tower.text_projection.T,
        **dict(_layers("text_model.encoder.layers", tower.transformer)),
    }
    other.load_state_dict(tensors)
    return other.eval()


def image_tower_to_transformers(tower: nn.Module, architecture: dict[str, Any]) -> nn.Module:
    """Build the CLIPVisionModelWithProjection that computes what this picture tower does."""
    from unclip_pipeline.export.diffusers_guard import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = _image_config(architecture)
    other = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            image_size=architecture["preprocessing"]["size"],
            patch_size=config.patch_size,
            num_attention_heads=config.width // config.head_width,
            **_shape(architecture, config, tower.ln_post),
        )
    )
    tensors = {
        "vision_model.embeddings.class_embedding": tower.class_embedding,
        "vision_model.embeddings.patch_embedding.weight": tower.conv1.weight,
        "vision_model.embeddings.position_embedding.weight": tower.positional_embedding,
        "visual_projection.weight": tower.proj.T,
        **dict(_layers("vision_model.encoder.layers", tower.transformer)),
    }
    for name, norm in {"pre_layrnorm": tower.ln_pre, "post_layernorm": tower.ln_post}.items():
        tensors |= {f"vision_model.{name}.weight": norm.weight, f"vision_model.{name}.bias": norm.bias}
    other.load_state_dict(tensors)
    return other.eval()


def feature_extractor(architecture: dict[str, Any]) -> Any:
    """Build the CLIPImageProcessor that prepares square pictures as the picture tower expects them."""
    from unclip_pipeline.export.diffusers_guard import CLIPImageProcessor

    seen = architecture["preprocessing"]
    side = seen["size"]
    return CLIPImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        resample=RESAMPLING[seen["interpolation"]],
        image_mean=list(seen["mean"]),
        image_std=list(seen["std"]),
    )


def clip_tokenizer(context_length: int) -> Any:
    """Build the CLIPTokenizer of open_clip's byte pairs, from the file that open_clip brings along.

    It splits cleaned text as open_clip's does, but does not clean it: broken encodings, curly quotes, ligatures
    and HTML entities stay. It pads with the end of text, which every mask hides.
    """
    from unclip_pipeline.export.diffusers_guard import CLIPTokenizer

    ours = open_clip.SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    return CLIPTokenizer(
        vocab={names.get(token, token): number for token, number in ours.encoder.items()},
        merges=sorted(ours.bpe_ranks, key=ours.bpe_ranks.__getitem__),
        model_max_length=context_length,
    )


def _departures(config: Any, free: set[str]) -> Iterator[tuple[str, Any]]:
    """Give the options of a tower that are not open_clip's defaults and not merely sizes."""
    usual = asdict(type(config)())
    for name, value in asdict(config).items():
        only_epsilon = name == "norm_kwargs" and value is not None and set(value) == {"eps"}
        if name not in free and value != usual[name] and not only_epsilon:
            yield name, value


def _text_config(architecture: dict[str, Any]) -> Any:
    return open_clip.CLIPTextCfg(**architecture["model"]["text_cfg"])


def _image_config(architecture: dict[str, Any]) -> Any:
    return open_clip.CLIPVisionCfg(**architecture["model"]["vision_cfg"])


def _shape(architecture: dict[str, Any], config: Any, norm: nn.LayerNorm) -> dict[str, Any]:
    return {
        "hidden_size": config.width,
        "intermediate_size": int(config.width * config.mlp_ratio),
        "num_hidden_layers": config.layers,
        "projection_dim": architecture["model"]["embed_dim"],
        "hidden_act": "quick_gelu" if architecture["model"].get("quick_gelu") else "gelu",
        "layer_norm_eps": norm.eps,
    }


def _layers(place: str, transformer: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for number, block in enumerate(transformer.resblocks):
        modules = {
            "layer_norm1": block.ln_1,
            "layer_norm2": block.ln_2,
            "mlp.fc1": block.mlp.c_fc,
            "mlp.fc2": block.mlp.c_proj,
            "self_attn.out_proj": block.attn.out_proj,
        }
        for kind in ("weight", "bias"):
            for name, module in modules.items():
                yield f"{place}.{number}.{name}.{kind}", getattr(module, kind)
            whole = getattr(block.attn, f"in_proj_{kind}")
            for name, part in zip("qkv", whole.chunk(3), strict=True):
                yield f"{place}.{number}.self_attn.{name}_proj.{kind}", part
