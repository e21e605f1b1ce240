"""What counts as the same picture, and how it is searched."""

from dataclasses import dataclass

from unclip_pipeline.curation.neighbours import SearchConfig


@dataclass(frozen=True, kw_only=True)
class DuplicateConfig:
    """What counts as the same picture. Exact copies (sha256) always do."""

    max_hash_bits: int = 4  # of 64, between perceptual hashes: a candidate
    min_cosine: float = 0.87  # between image embeddings: a candidate, and what a copy must reach
    max_cell_difference: float = 12.0  # perceptual: no cell of a 16x16 thumbnail differs more, of 255
    min_grain: float = 0.2  # semantic: correlation of fine grain; 0 takes the cosine's word for it
    decontaminate_cosine: float = 0.999  # of a held-out and a training image: this near, no grain is asked
    brute_force_rows: int = 50_000  # up to here all embeddings are compared with all
    clusters: int = 0  # beyond; 0 chooses by the rows and how they lie
    slack: float = 1.0  # 1 finds every near pair; 0.5 and 0.25 nearly all, for far less
    max_memory_mb: int = 2048  # of working arrays, beside what is compared
    probe_rows: int = 1000  # random rows compared with all, to measure what was found
    family_cosine: float = 0.97  # pictures this near that are not copies, with other captions: a family

    def __post_init__(self) -> None:
        for name in ("min_cosine", "decontaminate_cosine", "family_cosine"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ValueError(
                    f"deduplicate.{name} must lie in (0, 1], got {value}; try the default, or with min_grain: "
                    "0 a min_cosine of 0.96"
                )
        if self.decontaminate_cosine < self.min_cosine:
            raise ValueError(
                "deduplicate.decontaminate_cosine must not be below deduplicate.min_cosine, from which on pairs are "
                f"looked for, got {self.decontaminate_cosine} and {self.min_cosine}; try 0.999"
            )
        if not 0 <= self.max_hash_bits <= 16:
            raise ValueError(f"deduplicate.max_hash_bits must lie in 0..16, got {self.max_hash_bits}; try 4")
        if not 0 <= self.min_grain < 1:
            raise ValueError(
                f"deduplicate.min_grain is a correlation in [0, 1), got {self.min_grain}; try 0.2"
            )
        if not 0 < self.slack <= 1:
            raise ValueError(
                f"deduplicate.slack must lie in (0, 1], got {self.slack}; 1 is exact, try 0.5 for millions"
            )
        for name, least in (
            ("brute_force_rows", 0),
            ("clusters", 0),
            ("probe_rows", 0),
            ("max_memory_mb", 64),
        ):
            if getattr(self, name) < least:
                raise ValueError(
                    f"deduplicate.{name} must be at least {least}, got {getattr(self, name)}; "
                    "leave it out for the default"
                )

    @property
    def search(self) -> SearchConfig:
        """Say how near pairs are searched."""
        return SearchConfig(
            brute_force_rows=self.brute_force_rows,
            clusters=self.clusters,
            slack=self.slack,
            max_memory_mb=self.max_memory_mb,
        )
