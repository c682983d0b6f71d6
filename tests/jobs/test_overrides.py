"""`--set` reaches every table of a recipe, and says where it cannot."""

import pytest

from jobs.overrides import apply_overrides
from pipeline.errors import RecipeError

TABLES = {"seed": 1, "tokens": {"target_size": 512}, "filter": [{"kind": "image_size"}, {"kind": "caption_text", "min_words": 3}]}


@pytest.mark.parametrize(
    "override, path, value",
    [
        ("seed=2", ("seed",), 2),
        ("tokens.target_size=256", ("tokens", "target_size"), 256),
        ("filter.0.min_side=64", ("filter", 0, "min_side"), 64),
        ("filter.caption_text.min_words=1", ("filter", 1, "min_words"), 1),
        ("run.executor=ray", ("run", "executor"), "ray"),
        ("output='runs/x'", ("output",), "runs/x"),
        ("tokens.vq={kind='chameleon'}", ("tokens", "vq"), {"kind": "chameleon"}),
        ("sample.prompts=['a', 'b=c']", ("sample", "prompts"), ["a", "b=c"]),
    ],
)
def test_a_value_is_put_in(override, path, value):
    place = apply_overrides(TABLES, [override])
    for part in path:
        place = place[part]
    assert place == value
    assert TABLES["seed"] == 1 and TABLES["tokens"] == {"target_size": 512}


@pytest.mark.parametrize("override", ["seed", "=3", "seed.deep=1", "filter.7.min_side=1", "filter.sharpness.min=1", "filter=1.x.y"])
def test_a_path_that_leads_nowhere_is_refused(override):
    if override == "filter=1.x.y":
        assert apply_overrides(TABLES, [override])["filter"] == "1.x.y"  # a plain string; the recipe's types refuse it later
        return
    with pytest.raises(RecipeError, match="--set"):
        apply_overrides(TABLES, [override])
