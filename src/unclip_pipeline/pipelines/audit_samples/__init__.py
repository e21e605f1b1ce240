"""Measure who the model draws when nobody asks."""

from unclip_pipeline.pipelines.audit_samples.pipeline import create_pipeline

__all__ = ["create_pipeline"]
