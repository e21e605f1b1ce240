"""The scorecard as tables: what must hold exactly, and what was measured with which certainty."""

import re

import pandas as pd

EXACT: dict[str, tuple[str, float]] = {  # metric: what it says, the only value that will do
    "every_url_has_one_fate": ("every listed URL has exactly one fate, at scraping and in the ledger", 1),
    "harvest_recall": ("every listed pair of image and caption was read off the world's pages", 1),
    "harvest_precision": ("nothing was read off the world's pages that is not listed", 1),
    "harvest_refusal": ("a picture is marked as refused exactly where its page forbids the use", 1),
    "opt_outs_respected": ("every picture whose host forbids the use was left alone", 1),
    "willing_not_refused": ("no picture was left alone whose host says nothing of the kind", 1),
    "heldout_rows_in_train": ("rows held out by the list that entered training", 0),
    "heldout_combinations_in_train": ("pictures of held-out combinations that entered training", 0),
    "copies_of_heldout_in_train": ("planted copies of held-out pictures that entered training", 0),
    "decontamination_left": ("training pictures that the search itself takes for a held-out one", 0),
}
SECTIONS: dict[str, str] = {  # title: pattern of the metrics in it
    "Reading pages": r"harvest_",
    "Scraping": r"scrape_fate|opt_outs_by_",
    "Filters": r"similarity_too_low_|junk_|unsafe_(?!leak)|watermark_",
    "Unsafe filter, by group of harmless avatars": r"unsafe_leak_",
    "Duplicates": r"duplicate_|template_",
    "Labels of the audit": r"label_",
    "What CLIP knows (zero-shot, held-out rows)": r"zero_shot_",
    "What was drawn from text": r"drawn_prior_",
    "What was drawn from text without the prior": r"drawn_text_",
    "What the prior adds, on held-out combinations": r"drawn_gain_of_prior_",
    "What was drawn from a true image embedding": r"drawn_image_",
    "What the sample audit's pictures show": r"bias_samples_",
    "The judge on real pictures (the ceiling of the figures above)": r"judge_",
}


def exact_checks(metrics: dict[str, int | float]) -> pd.DataFrame:
    """List what must hold exactly, and whether it does."""
    rows = [
        (what, metrics[name], wanted, "holds" if metrics[name] == wanted else "FAILS")
        for name, (what, wanted) in EXACT.items()
        if name in metrics
    ]
    return pd.DataFrame(rows, columns=["what", "found", "wanted", "verdict"])


def estimates(metrics: dict[str, int | float], pattern: str) -> pd.DataFrame:
    """List measured shares with interval, count and chance; those that had nothing to count are left out."""
    names = [
        name
        for name in metrics
        if re.match(pattern, name)
        and f"{name}_low" in metrics
        and not re.search(r"_(low|high|n|chance)$", name)
    ]
    rows = [
        (name, metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"], metrics[f"{name}_n"],
         chance_of(name, metrics))
        for name in names
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["what", "share", "low", "high", "n", "chance"])


def chance_of(name: str, metrics: dict[str, int | float]) -> float | None:
    """Find what guessing would reach, where that was recorded."""
    own = re.sub(r"_(heldout|seen)$", "", name)
    attribute = name.rpartition("_")[2]
    drawn = f"drawn_chance_{attribute}" if re.match("drawn_(?!gain)", name) else ""
    return metrics.get(f"{own}_chance", metrics.get(drawn))
