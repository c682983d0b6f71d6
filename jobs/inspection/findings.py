"""What an inspection found wrong: all of it counted, the first ones kept with their words."""

from dataclasses import dataclass, field

MAX_SHOWN = 20  # findings that are printed; the others are counted


@dataclass(slots=True)
class Findings:
    """Grows while a folder is inspected."""

    shown: list[str] = field(default_factory=list)  # "where: what", in the order found
    total: int = 0
    warnings: list[str] = field(default_factory=list)  # not wrong, but worth a line

    def add(self, where: str, what: str) -> None:
        """Something is wrong.

        Args:
            where: The sample's key or the file's name.
        """
        self.total += 1
        if len(self.shown) < MAX_SHOWN:
            self.shown.append(f"{where}: {what}")

    def print_all(self) -> None:
        """The findings and warnings, a line each."""
        for line in self.shown:
            print(f"  {line}")
        if self.total > len(self.shown):
            print(f"  and {self.total - len(self.shown)} more")
        for line in self.warnings:
            print(f"  warning: {line}")
