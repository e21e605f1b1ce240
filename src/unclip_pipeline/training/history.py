"""The curve of a training run as a table."""

from collections.abc import Iterator

import pandas as pd

from unclip_pipeline.training.loop import Step


class History:
    """Collects steps; each row of the table is the mean over an equal share of the run."""

    def __init__(self, *, images: int, rows: int = 200) -> None:
        self._span = max(1, images // rows)
        self._steps: list[dict[str, float]] = []

    def watch(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Pass steps on and remember their figures."""
        for step in steps:
            self._steps.append({"images_seen": step.images_seen, **step.metrics})
            yield step

    def table(self) -> pd.DataFrame:
        """Columns: images_seen (the last of the row's steps), loss, and what else the steps told."""
        if not self._steps:
            return pd.DataFrame({"images_seen": pd.Series(dtype="int64"), "loss": pd.Series(dtype="float64")})
        steps = pd.DataFrame(self._steps)
        by_span = steps.groupby((steps["images_seen"] - 1) // self._span)
        table = by_span.mean().assign(images_seen=by_span["images_seen"].max())
        return table.reset_index(drop=True)
