"""The report on a release: which gates, what was registered, how to use it."""

from collections.abc import Mapping
from html import escape

import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.cards.model_card import without_front_matter
from unclip_pipeline.cards.tables import rows_table


def release_page(facts: Mapping[str, str], gates: pd.DataFrame, *, usage: str, card: str) -> str:
    """Write the page. `gates`: gate, value, bound, verdict."""
    return html.page(
        "Released model",
        html.facts_line(facts),
        html.section(
            "Gates",
            html.paragraph("A figure out of bounds stops the release unless it is overridden by name."),
            _gates(gates),
        ),
        html.section(
            "Use",
            html.paragraph("From the registry, or from the folder alone."),
            f"<pre><code>{escape(usage)}</code></pre>",
        ),
        html.section(
            "Model card",
            html.paragraph("MODEL_CARD.md of the bundle."),
            html.markdown(without_front_matter(card)),
        ),
    )


def _gates(gates: pd.DataFrame) -> str:
    kinds = {"passed": "good", "failed": "bad", "overridden": "bad"}
    rows = []
    for one in gates.itertuples():
        stage = one.gate.partition(".")[0]
        link = f'<a href="{escape(stage)}_report.html">{escape(one.gate)}</a>'
        verdict = f'<span class="{kinds[one.verdict]}">{escape(one.verdict)}</span>'
        rows.append([link, escape(one.value), escape(one.bound), verdict])
    return rows_table(["gate", "figure", "bound", ""], rows, frozenset({1, 2}))
