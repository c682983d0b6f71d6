"""What the filter `ocr` costs and takes for text: `python -m benchmarks.ocr`.

The example photographs, on which nothing is written, as they are and enlarged to 960 pixels; and drawn pages. Seconds are of one core.
"""

import argparse
import io
import textwrap
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from filters.ocr import Ocr, reader
from pipeline.images import decode_rgb, read_header
from pipeline.samples import Sample

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"
TEXT = "Samples come in by a source and pass filters, tasks turn them into conversations, and an encoder makes sequences of tokens of them."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=47, help="photographs")
    parser.add_argument("--pages", type=int, default=4)
    options = parser.parse_args()
    photos = [decode_rgb(path.read_bytes()) for path in sorted(PHOTOS.glob("*.[jp][pn]g"))[: options.count]]
    enlarged = [image.resize((round(image.width * 960 / max(image.size)), round(image.height * 960 / max(image.size)))) for image in photos]
    rule = Ocr()
    rule.setup()
    print("| pictures | mean pixels | seconds a picture | words | read | mean area | left out |")
    print("|---|---|---|---|---|---|---|")
    for name, images, words in (("photographs", photos, 0), ("photographs, 960 pixels", enlarged, 0)):
        report(rule, name, images, words)
    for lines, size in ((1, 24), (5, 24), (15, 24), (15, 10))[: options.pages]:
        image, words = page(lines, size)
        report(rule, f"page, {lines} lines of {size} pixels", [image], words)
    areas = [detected(image) for image in photos]
    print(f"\nthe detector alone: a box on {sum(area > 0 for area in areas)} of {len(photos)} photographs, ", end="")
    print(f"over 10% of the picture on {sum(area > 0.1 for area in areas)}, over 40% on {sum(area > 0.4 for area in areas)}")


def report(rule: Ocr, name: str, images: list[Image.Image], words: int) -> None:
    samples = [sample(image) for image in images]
    start = time.process_time()
    found = [measured.scores for measured in rule.measure(samples)]
    seconds = (time.process_time() - start) / len(images)
    pixels, area = np.mean([image.width * image.height for image in images]), np.mean([scores["ocr_area"] for scores in found])
    read, left_out = sum(scores["ocr_words"] for scores in found), sum(bool(rule.judge(scores)) for scores in found)
    print(f"| {name} | {pixels:,.0f} | {seconds:.2f} | {words} | {read:.0f} | {area:.3f} | {left_out} of {len(images)} |")


def detected(image: Image.Image) -> float:
    """The share of a picture in the detector's boxes, read or not; boxes that overlap count twice."""
    boxes = reader()(np.ascontiguousarray(np.asarray(image)[..., ::-1]), use_rec=False).boxes
    reader().update_params(use_rec=True)
    corners = [] if boxes is None else boxes
    return sum(float(np.ptp(box[:, 0]) * np.ptp(box[:, 1])) for box in corners) / (image.width * image.height)


def page(lines: int, size: int) -> tuple[Image.Image, int]:
    """A white page of 960 x 720 with so many lines of print, and how many words are on it."""
    image = Image.new("RGB", (960, 720), "white")
    written = textwrap.wrap(TEXT * lines, 60)[:lines]
    ImageDraw.Draw(image).multiline_text((40, 40), "\n".join(written), fill="black", font=ImageFont.load_default(size), spacing=size)
    return image, len(" ".join(written).split())


def sample(image: Image.Image) -> Sample:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = buffer.getvalue()
    return Sample("x", images={"image": data}, headers={"image": read_header(data)})


if __name__ == "__main__":
    main()
