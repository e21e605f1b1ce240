"""Bounds that measured figures must keep before a model is released."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

SENSES = {"<=": operator.le, ">=": operator.ge}


class Gate(NamedTuple):
    stage: str
    metric: str
    sense: str
    bound: float

    @property
    def name(self) -> str:
        return f"{self.stage}.{self.metric}"


class Verdict(NamedTuple):
    gate: Gate
    value: float | None  # None: the stage did not measure it
    passed: bool
    overridden: bool


class GateError(RuntimeError):
    """A figure is out of bounds and nobody took responsibility by name."""


@dataclass(frozen=True, kw_only=True)
class GatesConfig:
    """Bounds by stage and metric, such as {evaluate: {fd_clip_prior: "<= 0.5"}}; null drops a gate."""

    bounds: dict[str, dict[str, str | None]]
    override: list[str] = field(default_factory=list)  # gates ("stage.metric") that may fail; it is recorded

    def __post_init__(self) -> None:
        names = {gate.name for gate in self.gates()}
        unknown = sorted(set(self.override) - names)
        if unknown:
            raise ValueError(f"gates.override names no gate: {unknown}; the gates are {sorted(names)}")

    def gates(self) -> list[Gate]:
        """Read the bounds."""
        return [
            parse_gate(stage, metric, str(bound))
            for stage, bounds in self.bounds.items()
            for metric, bound in bounds.items()
            if bound is not None
        ]


def parse_gate(stage: str, metric: str, bound: str) -> Gate:
    """Read one bound, "<= 0.5" or ">= 0.5"."""
    sense, _, number = bound.strip().partition(" ")
    try:
        limit = float(number)
    except ValueError:
        limit = None
    if sense not in SENSES or limit is None:
        raise ValueError(f'gates.bounds.{stage}.{metric} must read "<= 0.5" or ">= 0.5", got {bound!r}')
    return Gate(stage, metric, sense, limit)


def judge(config: GatesConfig, metrics: Mapping[str, Mapping[str, float]]) -> list[Verdict]:
    """Hold every figure against its bound; a figure that was not measured does not pass."""
    verdicts = []
    for gate in config.gates():
        value = metrics.get(gate.stage, {}).get(gate.metric)
        passed = value is not None and SENSES[gate.sense](value, gate.bound)
        verdicts.append(Verdict(gate, value, bool(passed), gate.name in config.override))
    return verdicts


def require(verdicts: list[Verdict]) -> None:
    """Raise on failed gates that are not overridden, naming figure, bound and the report to read."""
    failed = [verdict for verdict in verdicts if not verdict.passed and not verdict.overridden]
    if failed:
        lines = [f"  {describe(verdict)}; read {verdict.gate.stage}_report.html" for verdict in failed]
        names = [verdict.gate.name for verdict in failed]
        raise GateError(
            "the model is not released, out of bounds:\n"
            + "\n".join(lines)
            + f"\nimprove the figure, or take responsibility for it by name: gates.override: {names}"
        )


def describe(verdict: Verdict) -> str:
    """Write figure and bound."""
    gate = verdict.gate
    value = "not measured" if verdict.value is None else f"{verdict.value:.4g}"
    return f"{gate.name} is {value}, must be {gate.sense} {gate.bound:g}"
