"""The page of a harvest: what the crawl held, what is listed, and why the rest is not."""

from collections.abc import Mapping

import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.corpus.uids import host_of
from unclip_pipeline.scraping.harvest import Harvested
from unclip_pipeline.scraping.harvest.tally import DROPS, RECORDS, Tally

HOSTS_SHOWN = 15
LANGUAGES_SHOWN = 20
KINDS_SHOWN = 12
ROWS_SHOWN = 12
IGNORED_SHOWN = 20


def harvest_page(harvested: Harvested) -> str:
    """Write the page."""
    rows, tally = harvested.url_list, harvested.tally
    return html.page(
        "Harvest",
        html.paragraph(
            f"{harvested.files:,} files hold {tally.records.total():,} records, {tally.records['page']:,} of them "
            f"pages. The pages show {tally.candidates:,} images; {len(rows):,} pairs of image and caption are "
            "listed, and every other image has one reason below."
        ),
        html.section(
            "Images that are not listed", html.table(counted(tally.drops, DROPS)), *_examples(tally)
        ),
        html.section("Records", html.table(counted(tally.records, RECORDS)), *_faults(harvested)),
        html.section(
            "Answers",
            html.table(_counts("status", tally.statuses)),
            html.table(_counts("content", tally.content_types).head(KINDS_SHOWN)),
        ),
        html.section("Captions", _table(shares(rows, "caption_source"))),
        html.section(
            "Languages of pages, by image",
            _table(shares(rows, "page_language").head(LANGUAGES_SHOWN)),
            _table(shares(rows, "page_language_source")),
        ),
        html.section("Licences", _table(shares(rows, "licence")), _table(shares(rows, "licence_source"))),
        html.section("Refusals", *_refusals(rows, tally)),
        html.section("Hosts of images", _table(hosts(rows).head(HOSTS_SHOWN))),
        html.section("Rows", html.paragraph("An even choice."), html.table(_spread(rows))),
    )


def _table(counts: pd.DataFrame) -> str:
    return html.table(counts, {"share": html.percent})


def counted(counts: Mapping[str, int], meaning: Mapping[str, str]) -> pd.DataFrame:
    """Count the reasons that occurred, most frequent first, with what they mean."""
    table = _counts("reason", counts)
    return table.assign(meaning=[meaning[reason] for reason in table["reason"]])


def shares(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Count the values of a column, most frequent first; a missing one counts too."""
    counts = rows[column].value_counts(dropna=False).rename_axis(column).reset_index(name="rows")
    return counts.assign(share=counts["rows"] / max(1, len(rows)))


def hosts(rows: pd.DataFrame) -> pd.DataFrame:
    """Count rows by the host of the image."""
    return shares(rows.assign(host=[host_of(url) for url in rows["url"]]), "host")


def _counts(name: str, counts: Mapping[str, int]) -> pd.DataFrame:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return pd.DataFrame(ordered, columns=[name, "count"])


def _examples(tally: Tally) -> list[str]:
    found = [(reason, *shown) for reason in sorted(tally.examples) for shown in tally.examples[reason]]
    table = html.table(pd.DataFrame(found, columns=["reason", "image", "page"]))
    return [html.details("The first of each reason", table)] if found else []


def _faults(harvested: Harvested) -> list[str]:
    ignored = ", ".join(harvested.ignored[:IGNORED_SHOWN])
    said = [html.paragraph(fault) for fault in harvested.tally.faults]
    if harvested.ignored:
        said.append(
            html.paragraph(f"{len(harvested.ignored):,} files of other kinds were not read: {ignored}")
        )
    return said


def _refusals(rows: pd.DataFrame, tally: Tally) -> list[str]:
    refused = rows[rows["opt_out"].notna()]
    text = (
        f"{tally.refused_pages:,} pages forbid the use of their pictures; {len(refused):,} rows are listed with "
        "that evidence and will not be asked for."
    )
    return [html.paragraph(text), _table(shares(refused, "opt_out"))]


def _spread(rows: pd.DataFrame) -> pd.DataFrame:
    columns = ["url", "caption", "caption_source", "page_language", "licence", "opt_out", "page_url", "pages"]
    return rows.iloc[:: max(1, -(-len(rows) // ROWS_SHOWN))][columns]
