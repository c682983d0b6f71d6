"""The perceptual hash of a picture: 64 bits that hardly change when it is scaled, compressed again or stored in another format.

Source: the `imagehash` library, `phash`: 32 x 32 pixels of luma, their cosine transform, its 8 x 8 lowest frequencies against the median.
"""

import numpy as np
from PIL import Image, ImageOps

from pipeline.images import decode_thumbnail

HASH_BYTES = 8
# Pixels of the shorter side that is decoded. Copies of 47 photographs (JPEG at quality 50 and 85, WebP, two thirds and a third of the size)
# are up to 4 bits away with 256, as they are without any limit; up to 6 with 64, for JPEG's own scaling differs from sizes to sizes.
THUMBNAIL_SIDE = 256
MIN_LUMA_STD = 2.0  # of 255, over the 32 x 32 pixels: below it the bits are noise
# The median parts 64 frequencies into halves, and all photographs have 32 ones. One colour has 1, a plain gradient 5 or fewer: most of
# their frequencies are zero, like those of any other such picture.
MIN_ONES = 16


def picture_hash(data: bytes) -> tuple[bytes, bytes] | None:
    """The hash of an upright RGB picture and that of its mirror image (left for right), [HASH_BYTES] each.

    None where there is too little on the picture for a hash that tells it from others: one colour, a gradient.

    Raises:
        PictureError: The picture cannot be decoded.
    """
    import imagehash

    luma = decode_thumbnail(data, THUMBNAIL_SIDE).convert("L")
    small = luma.resize((32, 32), Image.Resampling.LANCZOS)  # to its size imagehash would bring it
    if np.asarray(small).std() < MIN_LUMA_STD:
        return None
    bits = [imagehash.phash(side).hash for side in (luma, ImageOps.mirror(luma))]
    if min(int(each.sum()) for each in bits) < MIN_ONES:
        return None
    straight, mirrored = (np.packbits(each).tobytes() for each in bits)
    return straight, mirrored
