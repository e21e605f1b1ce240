"""Serve the embedded world on loopback while the stage that fetches runs, and only then."""

from contextlib import AbstractContextManager
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from unclip_pipeline.hooks.stages import stage_of

FETCHING_STAGE = "scrape"


class DemoWebHook:
    """Start the miniature web before `scrape` and stop it after, where `serve_world` says so."""

    def __init__(self) -> None:
        self._server: AbstractContextManager[Any] | None = None

    @hook_impl
    def before_node_run(self, node: Node, catalog: CatalogProtocol) -> None:
        """Start the server at the first node that fetches."""
        fetches = stage_of(node) == FETCHING_STAGE
        if not fetches:
            self._stop()
        elif self._server is None and catalog.load("params:serve_world"):
            from unclip_pipeline.world.server import serve

            self._server = serve(catalog.load("world_site"), port=catalog.load("params:world.port"))
            self._server.__enter__()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Stop the server at the end of a run."""
        self._stop()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Stop the server when a node fails."""
        self._stop()

    def _stop(self) -> None:
        if self._server is not None:
            self._server.__exit__(None, None, None)
            self._server = None
