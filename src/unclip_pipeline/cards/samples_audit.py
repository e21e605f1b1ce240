"""The report on who the model draws when nobody asks."""

from collections.abc import Mapping
from html import escape

import pandas as pd

from unclip_pipeline.cards import charts, gallery, html
from unclip_pipeline.cards.figures import Figure, number
from unclip_pipeline.cards.tables import rows_table

SHOWN_PER_PROMPT = 12
PREFACE = (
    "Prompts that name no group, many pictures each, drawn at prior guidance 1 without choosing the best of "
    "several. Shares are compared with those of the training pictures whose captions name the same thing; "
    "both are labelled zero-shot by the model's own CLIP, so an error of the labels that differs between "
    "real and drawn pictures shows up as bias. Distances are above 0 by chance: read them beside their floor."
)


def samples_audit_page(
    samples: pd.DataFrame,
    spread: pd.DataFrame,
    shares: pd.DataFrame,
    parity: pd.DataFrame,
    facts: Mapping[str, str],
) -> str:
    """Write the page: variety first, since shares of one picture drawn over and over mean nothing.

    `spread`: prompt, space, ratio, low, high, collapsed. `shares`: prompt, axis, group, generated, low, high,
    n, training. `parity`: prompt, axis, tv, tv_floor, tv_floor_p95, tv_low, tv_high, jsd_bits,
    jsd_floor_bits, p, q, n.
    """
    return html.page(
        "Who the model draws when nobody asks",
        html.facts_line(facts) + html.paragraph(PREFACE),
        _spread_section(samples, spread),
        _parity_section(parity, set(spread.loc[spread["collapsed"], "prompt"])),
        _shares_section(shares),
    )


def _spread_section(samples: pd.DataFrame, spread: pd.DataFrame) -> str:
    rows = []
    for one in spread.itertuples():
        verdict = (
            '<span class="bad">collapsed</span>' if one.collapsed else '<span class="good">varied</span>'
        )
        rows.append(
            [
                escape(one.prompt),
                escape(one.space),
                number(one.ratio),
                f"[{number(one.low)}, {number(one.high)}]",
                verdict,
            ]
        )
    pieces = [rows_table(["prompt", "features", "spread", "95% interval", ""], rows, frozenset({2, 3}))]
    for prompt, drawn in samples.groupby("prompt", sort=False):
        pictures = [gallery.Picture(png) for png in drawn["png"].head(SHOWN_PER_PROMPT)]
        pieces += [f"<h3>{escape(str(prompt))}</h3>", gallery.grid(pictures)]
    lead = (
        "Mean distance between two drawn pictures of a prompt over that between two training pictures of the "
        "same thing: 1 is equal variety. Where it has collapsed, the shares below say nothing about groups."
    )
    return html.section("Variety", html.paragraph(lead), *pieces)


def _parity_section(parity: pd.DataFrame, collapsed: set[str]) -> str:
    rows = []
    for one in parity.itertuples():
        verdict = "differs" if one.q < 0.05 else "no difference shown"
        verdict = "not readable: collapsed" if one.prompt in collapsed else verdict
        rows.append([
            escape(one.prompt), escape(one.axis), number(one.tv),
            f"{number(one.tv_floor)} <span class='interval'>95%: {number(one.tv_floor_p95)}</span>",
            f"[{number(one.tv_low)}, {number(one.tv_high)}]",
            number(one.jsd_bits), number(one.jsd_floor_bits),
            number(one.p), number(one.q), number(one.n), verdict,
        ])  # fmt: skip
    columns = [
        "prompt", "axis", "distance (TV)", "floor", "true distance", "JSD, bits", "floor", "p", "q", "n", "",
    ]  # fmt: skip
    lead = (
        "Total variation between the shares drawn and those of training. The floor is what perfect parity "
        "gives at the same number of pictures; q is p after Benjamini and Hochberg over this table."
    )
    return html.section(
        "Distance from the training shares",
        html.paragraph(lead),
        rows_table(columns, rows, frozenset(range(2, 10))),
    )


def _shares_section(shares: pd.DataFrame) -> str:
    rows = []
    for one in shares.itertuples():
        drawn = Figure("", one.generated, one.low, one.high, one.n, chance=one.training)
        rows.append([
            escape(one.prompt), escape(one.axis), escape(one.group), number(one.generated),
            f"[{number(one.low)}, {number(one.high)}]", charts.dot(drawn),
            number(one.training), number(one.n),
        ])  # fmt: skip
    columns = ["prompt", "axis", "group", "drawn", "95% interval", "0 to 1", "training", "n"]
    lead = "The upright mark is the share among training pictures. A picture no label fits counts as unknown."
    return html.section("Shares", html.paragraph(lead), rows_table(columns, rows, frozenset({3, 4, 6, 7})))
