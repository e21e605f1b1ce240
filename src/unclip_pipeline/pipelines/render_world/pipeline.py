"""From a seed to a web of pictures, a crawl of its pages, the list of its URLs, and the truth about them."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.render_world.nodes import render_world


def create_pipeline(**kwargs: object) -> Pipeline:
    """Render the whole web in one node."""
    return Pipeline(
        [
            Node(
                render_world,
                inputs=["world_site_target", "crawl_target", "params:world", "params:seed"],
                outputs=["world_site", "crawl", "url_list", "world_truth", "render_world_metrics"],
                name="render_world",
            )
        ]
    )
