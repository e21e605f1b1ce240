"""The judge's settings, apart from the judge so that pipelines load without torch."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """A small classifier that reads attributes off pictures; it shares no data with any model it judges."""

    pictures: int = 24_000  # fresh renders to learn from
    epochs: int = 2
    check_pictures: int = 1_000  # further renders to measure it on, once clean and once blurred
    side_px: int = 32  # what it sees of a picture
    batch_size: int = 64
    learning_rate: float = 4e-3

    def __post_init__(self) -> None:
        if self.side_px % 8:
            raise ValueError(
                f"judge.side_px must be a multiple of 8, got {self.side_px}; try {self.side_px // 8 * 8}"
            )
        if min(self.pictures, self.epochs, self.check_pictures, self.batch_size) < 1:
            raise ValueError(
                "judge.pictures, epochs, check_pictures and batch_size must be 1 or more, got "
                f"{self.pictures}, {self.epochs}, {self.check_pictures}, {self.batch_size}"
            )
