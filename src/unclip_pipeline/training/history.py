"""The curve of a training run as a table."""

from typing import TypedDict

import pandas as pd


class Row(TypedDict):
    """Sums over the steps of one share of the run."""

    images_seen: int  # after the last of them
    steps: int
    sums: dict[str, float]


class History:
    """Collects steps; each row of the table is the mean over an equal share of the run."""

    def __init__(self, *, images: int, rows: int = 200) -> None:
        self._span = max(1, images // rows)
        self.sums: list[Row] = []  # what a checkpoint keeps, so that the curve of a resumed run is whole

    def add(self, images_seen: int, metrics: dict[str, float]) -> None:
        """Remember a step's figures."""
        share = (images_seen - 1) // self._span
        if not self.sums or (self.sums[-1]["images_seen"] - 1) // self._span != share:
            self.sums.append(Row(images_seen=images_seen, steps=0, sums=dict.fromkeys(metrics, 0.0)))
        row = self.sums[-1]
        row["images_seen"], row["steps"] = images_seen, row["steps"] + 1
        for name, figure in metrics.items():
            row["sums"][name] += figure

    def table(self) -> pd.DataFrame:
        """Columns: images_seen (the last of the row's steps), loss, and what else the steps told."""
        if not self.sums:
            return pd.DataFrame({"images_seen": pd.Series(dtype="int64"), "loss": pd.Series(dtype="float64")})
        return pd.DataFrame(
            {"images_seen": row["images_seen"]}
            | {name: total / row["steps"] for name, total in row["sums"].items()}
            for row in self.sums
        )
