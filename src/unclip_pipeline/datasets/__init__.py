"""Kedro's view of what lies on disk: one adapter per form."""

from unclip_pipeline.datasets.atomic import AtomicDataset
from unclip_pipeline.datasets.folder import FolderDataset, FolderTargetDataset
from unclip_pipeline.datasets.image_list import ImageListDataset
from unclip_pipeline.datasets.released import ReleasedDataset
from unclip_pipeline.datasets.weights import WeightsDataset

__all__ = [
    "AtomicDataset",
    "FolderDataset",
    "FolderTargetDataset",
    "ImageListDataset",
    "ReleasedDataset",
    "WeightsDataset",
]
