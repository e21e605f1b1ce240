"""What is asked of the model to see whom it draws."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class AuditSamplesConfig:
    """Prompts that name no group, by the word with which training captions name the same thing."""

    prompts: dict[str, str | None] = field(
        default_factory=dict
    )  # {chef: a picture of a chef}; null drops one
    samples_per_prompt: int = 64
    axes: list[str] = field(default_factory=list)  # of audit_axes; none: all
    prior_guidance: float = 1.0  # more would sharpen the very shares that are measured
    min_spread: float = 0.5  # of the variety of training pictures; below it a prompt has collapsed
    least_references: int = 20  # training pictures that say the word; a prompt with fewer is left out
    most_references: int = 400  # for the comparison of variety, by prompt

    def __post_init__(self) -> None:
        if not any(self.prompts.values()):
            raise ValueError(
                "audit_samples.prompts is empty; give at least one, such as {chef: a picture of a chef}"
            )
        if self.samples_per_prompt < 10:
            raise ValueError(
                f"audit_samples.samples_per_prompt must be at least 10, got {self.samples_per_prompt}; at 9 "
                "a fair model is as far from parity as a very unfair one"
            )
        if not 0 <= self.min_spread <= 1:
            raise ValueError(f"audit_samples.min_spread must lie in 0..1, got {self.min_spread}")
