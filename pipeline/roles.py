"""The pictures of a sample, by role: which of them show the main picture's pixels again, and so are cut exactly like it.

image                       the main picture
depth normal segmentation   maps of it: what is stored in them, see tokenizer/rendering
canny hed sketch            its edges, bright on black or dark on white, as they come
pose                        persons as drawn skeletons; where it is missing it is drawn from Sample.poses
mask, mask_1 ...            where an edit changes it
edited_1 ...                the picture after the first edit, the second, ...
image_1 ...                 several pictures of one dialogue, each of its own
view_1 ...                  one thing from all sides
subject_1 ...               what a picture is to show, shown on its own
"""

import re

MAPS = ("depth", "normal", "pose", "segmentation", "canny", "hed", "sketch", "mask")
EDITED, VIEW, SUBJECT = "edited", "view", "subject"  # of numbered roles


def numbered(name: str, number: int) -> str:
    """A role of several: "edited_1". Numbers begin at 1."""
    return f"{name}_{number}"


def is_aligned(role: str) -> bool:
    """Whether a role's pixels lie where the main picture's do."""
    return role in MAPS or re.fullmatch(r"(edited|mask)_[1-9]\d*", role) is not None


def count_numbered(roles: object, name: str) -> int:
    """How many of `name`_1, `name`_2, ... there are without a gap.

    Args:
        roles: Anything with `in`.
    """
    count = 0
    while numbered(name, count + 1) in roles:  # type: ignore[operator]
        count += 1
    return count
