"""How pictures and captions become vectors; each choice is part of the embedder's name."""

from dataclasses import dataclass

EXACT, FAST = "exact", "fast"
MODES = (EXACT, FAST)
FLOAT32, AUTO = "float32", "auto"
DTYPES = (FLOAT32, "bfloat16", "float16", AUTO)


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Speed against exactness, and how much is held in memory."""

    mode: str = EXACT  # pixels as the model's own preprocessing gives them; "fast" decodes JPEG scaled down
    dtype: str = FLOAT32  # of matrix products; "auto": measured once per machine type, and remembered
    images_at_once: int = 256  # in one forward pass
    decoders: int = 0  # threads that decode beside the model; 0: one per core with a GPU, else one
    torch_threads: int = 0  # of each process; 0: torch's own number, divided among the processes
    cached_captions: int = 0  # kept between shards; then a vector's last bit may depend on the shards' order

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"embed.mode must be one of {MODES}, got {self.mode!r}")
        if self.dtype not in DTYPES:
            raise ValueError(f"embed.dtype must be one of {DTYPES}, got {self.dtype!r}")
        if self.images_at_once < 1:
            raise ValueError(f"embed.images_at_once must be at least 1, got {self.images_at_once}")
        for name in ("decoders", "torch_threads", "cached_captions"):
            if getattr(self, name) < 0:
                raise ValueError(f"embed.{name} must be 0 or more, got {getattr(self, name)}")
