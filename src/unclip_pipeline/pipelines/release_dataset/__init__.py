"""Join the verdicts into the ledger and write the dataset version."""

from unclip_pipeline.pipelines.release_dataset.pipeline import create_pipeline

__all__ = ["create_pipeline"]
