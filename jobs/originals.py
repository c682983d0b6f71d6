"""Read a few originals again, to show them beside what their tokens decode to."""

from collections import Counter
from itertools import islice

from jobs.recipe import Recipe
from pipeline.samples import Sample

MAX_READ = 500  # records of each source: the report shows samples from its beginning, so that a large one is not read through


def read_originals(recipe: Recipe) -> dict[str, bytes]:
    """Encoded main pictures by key, from the first records of each source."""
    if recipe.source is None:
        return {}
    originals: dict[str, bytes] = {}
    num_read: Counter[int] = Counter()
    for unit in recipe.source.plan(recipe.run.unit_size):
        for item in islice(recipe.source.read(unit), MAX_READ - num_read[unit.source]):
            num_read[unit.source] += 1
            if isinstance(item, Sample) and (role := item.main_role):
                originals[item.key] = item.images[role]
    return originals
