"""Of several reasons to leave a sample out, the first that holds."""

from collections.abc import Iterable


def first_reason(reasons: Iterable[tuple[str, bool]]) -> str:
    """The first of which its condition is true; "" where none is."""
    return next((reason for reason, is_so in reasons if is_so), "")
