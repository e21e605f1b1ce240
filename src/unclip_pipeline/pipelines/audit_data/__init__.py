"""Measure who is in the data at every stage, and weigh it."""

from unclip_pipeline.pipelines.audit_data.pipeline import create_pipeline

__all__ = ["create_pipeline"]
