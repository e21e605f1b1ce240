"""What happens around every run: configuration checks, MLflow's run tree, the demo web, a line per stage."""

from unclip_pipeline.hooks.configuration import ConfigurationHook
from unclip_pipeline.hooks.demo_web import DemoWebHook
from unclip_pipeline.hooks.processes import OtherProcessHook, ProcessesHook
from unclip_pipeline.hooks.run_tree import RunTreeHook
from unclip_pipeline.hooks.stage_line import StageLineHook

__all__ = [
    "ConfigurationHook",
    "DemoWebHook",
    "OtherProcessHook",
    "ProcessesHook",
    "RunTreeHook",
    "StageLineHook",
]
