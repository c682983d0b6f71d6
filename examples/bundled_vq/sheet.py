"""The pictures of docs/bundled_models.md: python examples/bundled_vq/sheet.py OUT.jpg TARGET_SIZE [FOLDER ...] -- PICTURE ...

First row: the pictures, cut as for the encoder. Then a row for the network in each folder that `mgpt fit-vq` left, the bundled one last.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.buckets import fit_bucket
from pipeline.images import apply_crop, decode_rgb, plan_crop
from tokenizer.vq import ChameleonVQ

GAP = 6  # pixels


def main() -> None:
    arguments = sys.argv[3:]
    cut = arguments.index("--")
    vqs = [ChameleonVQ(f"{folder}/vqgan.yaml", f"{folder}/weights.safetensors") for folder in arguments[:cut]] + [ChameleonVQ()]
    loaded = [vq.load() for vq in vqs]
    columns = []
    for path in arguments[cut + 1 :]:
        picture = decode_rgb(Path(path).read_bytes())
        bucket = fit_bucket(*picture.size, int(sys.argv[2]))
        pixels = np.asarray(apply_crop(picture, plan_crop(picture.size, bucket)))
        columns.append([pixels, *(vq.decode(vq.encode(pixels[None]))[0] for vq in loaded)])
    widths, height = [column[0].shape[1] + GAP for column in columns], max(column[0].shape[0] for column in columns) + GAP
    sheet = Image.new("RGB", (sum(widths), height * (len(loaded) + 1)), (255, 255, 255))
    for i, column in enumerate(columns):
        for row, pixels in enumerate(column):
            sheet.paste(Image.fromarray(pixels), (sum(widths[:i]), row * height))
    sheet.save(sys.argv[1], quality=90)


if __name__ == "__main__":
    main()
