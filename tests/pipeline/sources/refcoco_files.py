"""Referring expressions on disk, in the forms in which RefCOCO is passed on: small files for tests."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SENTENCE = pa.struct([("raw", pa.string()), ("sent", pa.string()), ("sent_id", pa.int64()), ("tokens", pa.list_(pa.string()))])
WITH_PATHS = pa.schema(  # the card of jxu124/refcoco
    [
        ("sent_ids", pa.list_(pa.int64())),
        ("file_name", pa.string()),
        ("ann_id", pa.int64()),
        ("ref_id", pa.int64()),
        ("image_id", pa.int64()),
        ("split", pa.string()),
        ("sentences", pa.list_(SENTENCE)),
        ("category_id", pa.int64()),
        ("raw_anns", pa.string()),
        ("raw_image_info", pa.string()),
        ("raw_sentences", pa.string()),
        ("image_path", pa.string()),
        ("bbox", pa.list_(pa.float64())),
        ("captions", pa.list_(pa.string())),
        ("global_image_id", pa.string()),
        ("anns_id", pa.string()),
    ]
)
WITH_PICTURES = pa.schema(  # the card of lmms-lab/RefCOCO
    [
        ("question_id", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("question", pa.string()),
        ("answer", pa.list_(pa.string())),
        ("segmentation", pa.list_(pa.float32())),
        ("bbox", pa.list_(pa.float32())),
        ("iscrowd", pa.int8()),
        ("file_name", pa.string()),
    ]
)
OBJECTS = [  # image, width, height, annotation, x, y, width, height, expressions
    (581857, 640, 400, 1719310, 64.0, 40.0, 128.0, 80.0, ["navy blue shirt", "woman back in blue", "blue shirt"]),
    (581719, 500, 360, 2154, 250.0, 180.0, 125.0, 90.0, ["right most vase"]),
    (581857, 640, 400, 1719311, 0.0, 0.0, 320.0, 400.0, ["man on left", " "]),
]
BOXES = {1719310: (0.1, 0.1, 0.3, 0.3), 2154: (0.5, 0.5, 0.75, 0.75), 1719311: (0.0, 0.0, 0.5, 1.0)}


def picture(width, height):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(buffer, "JPEG")
    return buffer.getvalue()


def name(image):
    return f"COCO_train2014_{image:012d}"


def path_row(image, width, height, annotation, x, y, w, h, said, /, **changed):
    info = {
        "license": 3,
        "file_name": f"{name(image)}.jpg",
        "coco_url": f"http://mscoco.org/images/{image}",
        "height": height,
        "width": width,
        "date_captured": "2013-11-17 05:37:38",
        "flickr_url": "http://farm1.staticflickr.com/73/x_z.jpg",
        "id": image,
    }
    sentences = [{"raw": one.title(), "sent": one, "sent_id": n, "tokens": one.split()} for n, one in enumerate(said)]
    box = {
        "segmentation": [[1.0, 2.0]],
        "area": 3.0,
        "iscrowd": 0,
        "image_id": image,
        "bbox": [x, y, w, h],
        "category_id": 1,
        "id": annotation,
    }
    return {
        "sent_ids": list(range(len(said))),
        "file_name": f"{name(image)}_{annotation}.jpg",
        "ann_id": annotation,
        "ref_id": annotation + 5,
        "image_id": image,
        "split": "train",
        "sentences": sentences,
        "category_id": 1,
        "raw_anns": json.dumps(box),
        "raw_image_info": json.dumps(info),
        "raw_sentences": json.dumps(sentences),
        "image_path": f"coco/train2014/{name(image)}.jpg",
        "bbox": [x, y, x + w, y + h],
        "captions": said,
        "global_image_id": f"coco.{image}",
        "anns_id": f"{annotation}",
        **changed,
    }


def picture_row(image, width, height, annotation, x, y, w, h, said, /, **changed):
    data = picture(width=width, height=height)
    question = "Please carefully observe the area circled in the image and come up with a caption for the area."
    return {
        "question_id": str(annotation),
        "image": {"bytes": data, "path": f"{name(image)}.jpg"},
        "question": question,
        "answer": said,
        "segmentation": [x, y, x + w, y],
        "bbox": [x, y, w, h],
        "iscrowd": 0,
        "file_name": f"{name(image)}_0.jpg",
        **changed,
    }


def write_table(path, schema, rows, **options):
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, **options)


def write_json(path, objects, **changed):
    images, annotations = [], []
    for image, width, height, annotation, *box, said in objects:
        for one in said:
            number = len(images)
            images.append(
                {
                    "file_name": f"{name(image)}.jpg",
                    "height": height,
                    "width": width,
                    "id": number,
                    "original_id": image,
                    "caption": one,
                    "dataset_name": "refcoco",
                    "tokens_negative": [[0, len(one)]],
                }
            )
            annotations.append(
                {
                    "area": 3.0,
                    "iscrowd": 0,
                    "image_id": number,
                    "category_id": 1,
                    "id": number,
                    "bbox": box,
                    "original_id": annotation,
                    "tokens_positive": [[0, 4]],
                }
            )
    table = {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    path.write_text(json.dumps({**table, **changed}))
