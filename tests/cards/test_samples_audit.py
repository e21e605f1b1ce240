import re

import pandas as pd

from unclip_pipeline.cards.samples_audit import samples_audit_page

SAMPLES = pd.DataFrame({"prompt": ["a chef"] * 2 + ["a wizard"], "png": [b"1", b"2", b"3"]})
SPREAD = pd.DataFrame(
    {"prompt": ["a chef", "a wizard"], "space": "clip",
     "ratio": [0.9, 0.1], "low": [0.8, 0.05], "high": [1.0, 0.2],
     "collapsed": [False, True]}
)  # fmt: skip
PARITY = pd.DataFrame(
    {"prompt": ["a chef", "a wizard"], "axis": "group", "tv": 0.21, "tv_floor": 0.08, "tv_floor_p95": 0.15,
     "tv_low": 0.1, "tv_high": 0.3, "jsd_bits": 0.04, "jsd_floor_bits": 0.01, "p": 0.001, "q": 0.002, "n": 64}
)  # fmt: skip
SHARES = pd.DataFrame(
    {"prompt": ["a chef"], "axis": "group", "group": "amber", "generated": 0.7, "low": 0.6, "high": 0.8,
     "n": 64, "training": 0.5}
)  # fmt: skip


def test_shares_of_a_collapsed_prompt_are_called_unreadable_and_of_a_varied_one_are_not():
    page = samples_audit_page(SAMPLES, SPREAD, SHARES, PARITY, {"guidance": "1"})
    text = re.sub(r"<[^>]+>", " ", page)
    chef, wizard = re.findall(
        r"(a chef|a wizard)\s+group.*?(differs|no difference shown|not readable)", text, re.S
    )[:2]
    assert chef == ("a chef", "differs") and wizard == ("a wizard", "not readable")


def test_every_distance_stands_beside_its_floor_and_variety_comes_first():
    page = samples_audit_page(SAMPLES, SPREAD, SHARES, PARITY, {})
    assert page.index(">Variety<") < page.index(">Distance from the training shares<")
    assert re.search(r"0\.210.*?0\.080.*?\[0\.100, 0\.300\]", page, re.S)


def test_an_audit_without_prompts_is_a_page_all_the_same():
    assert ">Variety<" in samples_audit_page(
        SAMPLES.head(0), SPREAD.head(0), SHARES.head(0), PARITY.head(0), {}
    )
