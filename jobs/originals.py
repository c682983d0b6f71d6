"""Read a few originals again, to show them beside what their tokens decode to."""

from itertools import islice

from jobs.recipe import Recipe
from pipeline.samples import Sample

MAX_READ = 2000  # records: the report shows samples from the beginning of the run, so that a large source is not read through


def read_originals(recipe: Recipe) -> dict[str, bytes]:
    """Encoded main pictures by key, from the first records of each source."""
    if recipe.source is None:
        return {}
    originals: dict[str, bytes] = {}
    seen: set[int] = set()
    for unit in recipe.source.plan(recipe.run.unit_size):
        if unit.source in seen:
            continue
        seen.add(unit.source)
        for item in islice(recipe.source.read(unit), MAX_READ):
            if isinstance(item, Sample) and (role := item.main_role):
                originals[item.key] = item.images[role]
    return originals
