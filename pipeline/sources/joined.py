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
    key_prefixes: tuple[str, ...] = ()  # in front of the keys of each; none where keys differ anyway

    def plan(self, unit_size: int) -> list[Unit]:
        units: list[Unit] = []
        for number, source in enumerate(self.sources):
            units += [replace(unit, index=len(units) + place, source=number) for place, unit in enumerate(source.plan(unit_size))]
        return units

    def read(self, unit: Unit) -> Iterator[Sample | BadSample]:
        prefix = self.key_prefixes[unit.source] if self.key_prefixes else ""
        for item in self.sources[unit.source].read(unit):
            yield replace(item, key=prefix + item.key) if prefix else item

    def fingerprint(self) -> dict[str, str]:
        return {f"{number}: {name}": value for number, source in enumerate(self.sources) for name, value in source.fingerprint().items()}
