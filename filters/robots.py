"""Drop what its site does not want to be trained on, as its HTTP headers said when it was fetched and the metadata have kept.

    x-robots-tag       "noai", "noimageai"; also for one robot: "somebot: noai, otherbot: noindex"
    tdm-reservation    "1": rights are reserved

img2dataset refuses such pictures by itself, unless it was told not to; then the headers stand in the tables only if one's own step put them
there. Nothing in the metadata means that nothing is known, and the sample is kept.

Source: img2dataset 1.47, `is_disallowed` (its default directives are these two and noindex, noimageindex); TDM Reservation Protocol (W3C
community group, 2024), section 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from filters.metadata import column
from pipeline.samples import Sample
from pipeline.stage import Measured, Needs

WITH_A_VALUE = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")  # directives, not robots


@dataclass(frozen=True)
class Robots:
    """Keep a sample that carries no opt-out. The score is the number of opt-outs found; it hangs on `directives` and `user_agent`."""

    scores: ClassVar[tuple[str, ...]] = ("robots_opt_outs",)
    needs: ClassVar[Needs] = Needs()
    measured_by: ClassVar[tuple[str, ...]] = ("directives", "user_agent", "header_columns", "reservation_columns")

    directives: tuple[str, ...] = ("noai", "noimageai")  # of X-Robots-Tag; "noindex" and "noimageindex" mean search engines
    user_agent: str = ""  # directives for this robot count too; those for others never do
    header_columns: tuple[str, ...] = ("x-robots-tag",)  # names without regard to case and to "-" or "_"
    reservation_columns: tuple[str, ...] = ("tdm-reservation",)

    def measure(self, samples: list[Sample]) -> list[Measured]:
        return [self._measure(sample) for sample in samples]

    def judge(self, scores: Mapping[str, float]) -> str:
        return "opted_out" if scores["robots_opt_outs"] else ""

    def _measure(self, sample: Sample) -> Measured:
        headers = [value for name in self.header_columns if (value := column(sample, name)) is not None]
        reservations = [value for name in self.reservation_columns if (value := column(sample, name)) is not None]
        if not headers and not reservations:
            return Measured()
        wanted = {directive.casefold() for directive in self.directives}
        found = sum(directive in wanted for header in headers for directive in self._directives(header))
        found += sum(str(value).strip() in ("1", "1.0", "True") for value in reservations)
        return Measured({"robots_opt_outs": float(found)})

    def _directives(self, header: Any) -> list[str]:
        """What holds for this robot. A robot's name stands before its directives, up to the next name or the next header."""
        lines = header if isinstance(header, list | tuple) else [header]
        found = []
        for line in lines:
            is_meant = True
            for part in str(line).casefold().split(","):
                name, colon, rest = (each.strip() for each in part.partition(":"))
                if colon and name not in WITH_A_VALUE:
                    is_meant, part = name == self.user_agent.casefold(), rest
                if is_meant:
                    found.append(part.strip())
        return found
