"""The frozen encoder every later stage sees: pictures and captions in, raw vectors out."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from unclip_pipeline.clip import text
from unclip_pipeline.clip.embed_config import EXACT, FLOAT32
from unclip_pipeline.clip.model import build_model
from unclip_pipeline.clip.open_clip_guard import open_clip
from unclip_pipeline.weights import Weights, weights_digest

TEXTS_AT_ONCE = 256


class TextTokens(NamedTuple):
    """The text tower's states after its final norm; `mask` marks those up to the end of each text."""

    hidden: Float[Tensor, "n l e"]
    mask: Bool[Tensor, "n l"]


class Encoder:
    """A frozen CLIP. Vectors are un-normalised: a norm can be divided out later, but not be got back."""

    def __init__(
        self, model: nn.Module, architecture: dict[str, Any], embedder_id: str, dtype: str = FLOAT32
    ) -> None:
        self.embedder_id = embedder_id
        self._dtype: torch.dtype = getattr(torch, dtype)
        self.architecture = architecture
        self.image_side_px: int = architecture["preprocessing"]["size"]
        self.width: int = architecture["model"]["embed_dim"]
        self._model = model.eval().requires_grad_(False)
        self._tokenize = make_tokenizer(architecture)
        self._device = next(model.parameters()).device

    @property
    def text_width(self) -> int:
        """Width of the token states that `text_tokens` gives."""
        text.check_readable(self._model.text)
        return self._model.text.width

    @property
    def logit_scale(self) -> float:
        """Factor on cosines before the softmax the model was trained with."""
        return float(self._model.logit_scale.exp())

    @torch.no_grad()
    def images(self, pixels: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Embed pictures of one size; the centre square is what is seen."""
        with self._autocast():
            return self._model.visual(model_input(pixels.to(self._device), self.architecture))

    @torch.no_grad()
    def texts(self, captions: Sequence[str]) -> Float[Tensor, "n d"]:
        """Embed captions; equal ones are encoded once, and each batch runs on as many tokens as it needs."""
        unique = list(dict.fromkeys(captions))
        embeddings = torch.empty(len(unique), self.width, device=self._device)
        if unique:
            tower, tokens = self._model.text, self._tokens(unique)
            for rows in text.lengths(tower, tokens).argsort(stable=True).split(TEXTS_AT_ONCE):
                with self._autocast():
                    found = text.text_embeddings(tower, text.trimmed(tower, tokens[rows]))
                embeddings[rows] = found.to(embeddings.dtype)
        place = {caption: row for row, caption in enumerate(unique)}
        return embeddings[[place[caption] for caption in captions]]

    @torch.no_grad()
    def text_tokens(self, captions: Sequence[str]) -> TextTokens:
        """Give the states of every token, on as many tokens as the longest caption has."""
        tower = self._model.text
        text.check_readable(tower)
        tokens = text.trimmed(tower, self._tokens(captions))
        return TextTokens(text.token_states(tower, tokens), text.token_mask(tower, tokens))

    def _autocast(self) -> AbstractContextManager[Any]:
        reduced = self._dtype != torch.float32
        return torch.autocast(self._device.type, dtype=self._dtype, enabled=reduced)

    def _tokens(self, captions: Sequence[str]) -> Int[Tensor, "n l"]:
        return self._tokenize(list(captions)).to(self._device)


def load_encoder(
    weights: Weights, device: torch.device | str = "cpu", *, mode: str = EXACT, dtype: str = FLOAT32
) -> Encoder:
    """Build the frozen encoder of trained or named weights.

    `mode` and `dtype` are those of `EmbedConfig`: the mode only names how the pixels are made that it will see.
    """
    if weights.config.get("kind") != "clip":
        raise ValueError(
            f'an encoder is built from weights of kind "clip", got {weights.config.get("kind")!r}'
        )
    architecture = weights.config["architecture"]
    model = build_model(architecture)
    model.load_state_dict(weights.tensors)
    embedder_id = embedder_id_of(weights, mode=mode, dtype=dtype)
    return Encoder(model.to(device), architecture, embedder_id, dtype)


def embedder_id_of(weights: Weights, *, mode: str = EXACT, dtype: str = FLOAT32) -> str:
    """Name an embedder by all that moves its vectors: model, weights, preprocessing, number type and mode.

    The last part, after a slash, holds type and mode alone: see `corpus.embeddings.is_same_space`.
    """
    architecture = weights.config["architecture"]
    seen = architecture["preprocessing"]
    mean, std = (",".join(f"{value:g}" for value in seen[key]) for key in ("mean", "std"))
    preprocessing = f"{seen['size']}px-{seen['interpolation']}-{mean}-{std}"
    if "resize_mode" in seen:
        preprocessing += f"-{seen['resize_mode']}-{seen['fill_color']}"
    stored = str(weights.tensors["logit_scale"].dtype).removeprefix("torch.")
    how = (stored if dtype == FLOAT32 else dtype) + ("" if mode == EXACT else f"-{mode}")
    return f"{architecture['name']}/{weights_digest(weights.tensors)}/{preprocessing}/{how}"


def model_input(pixels: UInt8[Tensor, "b 3 h w"], architecture: dict[str, Any]) -> Float[Tensor, "b 3 s s"]:
    """Crop the centre square, resize it antialiased and normalise, as the model is trained to see."""
    seen = architecture["preprocessing"]
    side, (height, width) = seen["size"], pixels.shape[-2:]
    if (height, width) != (side, side):
        square = min(height, width)
        top, left = (height - square) // 2, (width - square) // 2
        pixels = pixels[..., top : top + square, left : left + square].float()
        pixels = F.interpolate(pixels, (side, side), mode=seen["interpolation"], antialias=True)
        pixels = pixels.round().clamp(0, 255)
    mean, std = (torch.tensor(seen[key], device=pixels.device)[:, None, None] for key in ("mean", "std"))
    return (pixels.contiguous() / 255).sub_(mean).div_(std)  # channels last: five times the time


def make_tokenizer(architecture: dict[str, Any]) -> Callable[[list[str]], Int[Tensor, "n l"]]:
    """Give the function from captions to padded token ids of this architecture."""
    config = architecture["model"]["text_cfg"]
    options = {"context_length": config.get("context_length", 77), **(config.get("tokenizer_kwargs") or {})}
    if name := config.get("hf_tokenizer_name"):
        mode = config.get("tokenizer_mode")
        return open_clip.tokenizer.HFTokenizer(name, tokenizer_mode=mode, **options)
    return open_clip.SimpleTokenizer(**options)
