import math

import pytest

from unclip_pipeline.metrics.gates import GateError, GatesConfig, judge, require

CONFIG = GatesConfig(bounds={"evaluate": {"copies": "<= 0.02", "r_precision": ">= 0.3"}})


def _judge(config=CONFIG, **figures):
    return judge(config, {"evaluate": figures})


def test_figures_within_bounds_pass_the_bound_itself_included():
    require(_judge(copies=0.02, r_precision=0.3))


def test_a_failed_gate_stops_with_figure_bound_and_report():
    with pytest.raises(
        GateError, match=r"evaluate.copies is 0.05, must be <= 0.02; read evaluate_report.html"
    ):
        require(_judge(copies=0.05, r_precision=0.3))


@pytest.mark.parametrize("figures", [{"r_precision": 0.3}, {"copies": math.nan, "r_precision": 0.3}])
def test_a_figure_that_was_not_measured_does_not_pass(figures):
    with pytest.raises(GateError, match="copies is"):
        require(_judge(**figures))


def test_an_override_by_name_lets_one_gate_through_and_is_recorded():
    config = GatesConfig(bounds=CONFIG.bounds, override=["evaluate.copies"])
    verdicts = _judge(config, copies=0.5, r_precision=0.3)
    require(verdicts)
    assert [(v.gate.name, v.passed, v.overridden) for v in verdicts] == [
        ("evaluate.copies", False, True),
        ("evaluate.r_precision", True, False),
    ]
    with pytest.raises(GateError, match="r_precision"):
        require(_judge(config, copies=0.5, r_precision=0.1))


@pytest.mark.parametrize("bound", ["< 0.5", "0.5", "<= half", "<=0.5x"])
def test_a_bound_that_cannot_be_read_is_refused_with_its_name(bound):
    with pytest.raises(ValueError, match="gates.bounds.evaluate.copies"):
        GatesConfig(bounds={"evaluate": {"copies": bound}})


def test_null_drops_a_gate_that_another_file_gives():
    config = GatesConfig(bounds={"evaluate": {"copies": None, "r_precision": ">= 0.3"}})
    assert [verdict.gate.name for verdict in _judge(config, r_precision=0.5)] == ["evaluate.r_precision"]


def test_an_override_of_no_gate_is_refused():
    with pytest.raises(ValueError, match="names no gate"):
        GatesConfig(bounds=CONFIG.bounds, override=["evaluate.copys"])
