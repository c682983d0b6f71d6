"""Several sources read one after the other: a recipe with `[[source]]` more than once."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.samples import BadSample, Sample
from pipeline.sources import Source
from pipeline.sources.unit import Unit


@dataclass(frozen=True)
class JoinedSources:
    """Units of the first source, then of the second, and so on. Keys must be unique over all of them."""

    sources: tuple[Source, ...]

    def plan(self, unit_size: int) -> list[Unit]:
        units: list[Unit] = []
        for number, source in enumerate(self.sources):
            units += [replace(unit, index=len(units) + place, source=number) for place, unit in enumerate(source.plan(unit_size))]
        return units

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        return self.sources[unit.source].read(unit)

    def fingerprint(self) -> dict[str, str]:
        return {f"{number}: {name}": value for number, source in enumerate(self.sources) for name, value in source.fingerprint().items()}
