"""From a folder of WARC, WAT or HTML files to a URL list, and a page that accounts for what is not in it."""

from kedro.pipeline import Node, Pipeline

from unclip_pipeline.pipelines.harvest.nodes import collect_images


def create_pipeline(**kwargs: object) -> Pipeline:
    """Read the whole crawl in one node; its unit of work is the file."""
    return Pipeline(
        [
            Node(
                collect_images,
                inputs=[
                    "crawl",
                    "harvest_scratch",
                    "params:harvest",
                    "params:scrape",
                    "params:harvest_engine",
                ],
                outputs=["harvested_url_list", "harvest_metrics", "harvest_report"],
                name="collect_images",
            )
        ]
    )
