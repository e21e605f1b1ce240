"""Hand a trained stack to diffusers and transformers; needs the `export` extra."""

from unclip_pipeline.export.folder import Exported, export_unclip
from unclip_pipeline.export.pipeline import load_unclip, load_variations
from unclip_pipeline.export.reasons import NotExportableError, why_not_exportable

__all__ = [
    "Exported", "NotExportableError", "export_unclip", "load_unclip", "load_variations", "why_not_exportable",
]  # fmt: skip
