"""Libraries of an optional extra: refused before any work where they are missing."""

from importlib.util import find_spec
from typing import Literal

from pipeline.errors import RecipeError


def require(kind: str, *modules: str, extra: str = "duplicates", step: Literal["filter", "annotator"] = "filter") -> None:
    """
    Raises:
        RecipeError: One of the modules is not installed.
    """
    for module in modules:
        if find_spec(module) is None:
            raise RecipeError(f'{step} {kind}: the library {module} is not installed; pip install "mgpt[{extra}]"')
