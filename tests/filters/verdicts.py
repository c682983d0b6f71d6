"""What a filter finds of samples and says of them, in one go."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.samples import Sample


@dataclass(frozen=True)
class Verdict:
    keep: bool
    reason: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


def judged(rule, samples: list[Sample]) -> list[Verdict]:
    verdicts = []
    for measured in rule.measure(samples):
        reason = rule.judge(measured.scores) if measured.scores else ""
        verdicts.append(Verdict(not reason, reason, measured.scores))
    return verdicts
