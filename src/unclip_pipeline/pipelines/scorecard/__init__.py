"""Compare every stage with the planted truth (embedded world only)."""

from unclip_pipeline.pipelines.scorecard.pipeline import create_pipeline

__all__ = ["create_pipeline"]
