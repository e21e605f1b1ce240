"""Weights that `clip.source` names: open_clip's by tag or checkpoint, or those in a folder. Nothing is trained."""

import pickle
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from unclip_pipeline.clip.model import FILE, OPEN_CLIP, ClipConfig, fetching_nothing, known_config
from unclip_pipeline.clip.open_clip_guard import open_clip
from unclip_pipeline.weights import TENSORS, Weights, load_weights

UNREADABLE = (OSError, RuntimeError, AssertionError, KeyError, pickle.UnpicklingError, SafetensorError)

REASON_CHARS = 300  # of a message: every tensor that does not fit has a line in it


def named_weights(config: ClipConfig) -> Weights:
    """Read the weights that `clip.source` names.

    A tag is downloaded by open_clip the first time; a path or a folder needs no network.
    """
    if config.source.startswith(FILE):
        return _weights_from_folder(Path(config.source.removeprefix(FILE)))
    name, _, tag = config.source.removeprefix(OPEN_CLIP).partition("/")
    architecture = known_config(name, "clip.source")
    tag_facts = open_clip.get_pretrained_cfg(name, tag)
    if not tag_facts and not Path(tag).is_file():
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise ValueError(
            f"clip.source: {name} has no tag {tag!r}, nor is there such a file; its tags are {tags}"
        )
    # open_clip only warns when a tag was trained with another activation than the model's config says
    quick = bool((tag_facts or {}).get("quick_gelu", architecture.get("quick_gelu", False)))
    try:
        model = open_clip.create_model(name, pretrained=tag, force_custom_text=True, force_quick_gelu=quick)
    except UNREADABLE as error:
        raise ValueError(_unreadable(name, tag, is_tag=bool(tag_facts), error=error)) from error
    return _weights_of(model, architecture | {"quick_gelu": quick}, name=name)


def _unreadable(name: str, tag: str, *, is_tag: bool, error: Exception) -> str:
    reason = _reason(error)
    if is_tag:
        return (
            f"clip.source: the weights {tag!r} of {name} could not be fetched or read ({reason}); without a network "
            f'give the path of a checkpoint in place of the tag, as "{OPEN_CLIP}{name}/<path>"'
        )
    return (
        f"clip.source: {tag} does not hold the weights of {name} ({reason}); name the model it was made with, "
        "or copy the file again"
    )


def _reason(error: Exception) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said if len(said) <= REASON_CHARS else said[:REASON_CHARS] + '...'}"


def _weights_from_folder(folder: Path) -> Weights:
    if (folder / "config.json").is_file() and (folder / TENSORS).is_file():
        weights = load_weights(folder)
        if weights.config.get("kind") != "clip":
            raise ValueError(
                f"clip.source: {folder} holds weights of kind {weights.config.get('kind')!r}, not of a CLIP; name a "
                "folder that `train_clip` wrote"
            )
        return weights
    if not (folder / "open_clip_config.json").is_file():
        raise FileNotFoundError(
            f"clip.source: {folder} holds neither weights of this pipeline (config.json, {TENSORS}) nor of open_clip "
            "(open_clip_config.json); name a folder that does"
        )
    name = f"local-dir:{folder}"
    try:
        model = open_clip.create_model(name, force_custom_text=True, require_pretrained=True)
    except UNREADABLE as error:
        raise ValueError(
            f"clip.source: {folder} holds no weights that fit its open_clip_config.json ({_reason(error)}); "
            "copy it again"
        ) from error
    return _weights_of(model, open_clip.get_model_config(name), name=folder.name)


def _weights_of(model: nn.Module, model_config: dict[str, Any], *, name: str) -> Weights:
    preprocessing = _preprocessing(model.visual.preprocess_cfg, name)
    architecture = {"name": name, "model": fetching_nothing(model_config), "preprocessing": preprocessing}
    return Weights(dict(model.state_dict()), {"kind": "clip", "architecture": architecture})


def _preprocessing(seen: dict[str, Any], name: str) -> dict[str, Any]:
    """Take over what open_clip does to a picture before it is shown to this model."""
    sides = {seen["size"]} if isinstance(seen["size"], int) else set(seen["size"])
    if len(sides) > 1:
        raise ValueError(f"a CLIP must see square pictures, {name} sees {seen['size']}; choose another model")
    kept = {key: list(seen[key]) for key in ("mean", "std")}
    kept |= {key: seen[key] for key in ("interpolation", "resize_mode", "fill_color")}
    return kept | {"size": sides.pop()}
