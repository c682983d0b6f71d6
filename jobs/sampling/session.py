"""A loaded model that is asked by people, one question at a time, and shows its pictures while they grow.

    for shown in session.ask(caption_question("a red circle", (512, 512)), Settings(seed=3)):
        shown.pictures    the answer's pictures so far, rows that are still to come in gray
        shown.text        its text, when it is finished

The model works in a thread of its own; who stops listening stops it at the next row.
"""

import io
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from PIL import Image

from jobs.recipe import Recipe
from jobs.sampling.engine import Answer, Engine, EngineSpec, Job
from jobs.sampling.plan import Asked, plan_picture
from pipeline.images import Crop, apply_crop, decode_rgb
from pipeline.samples import ImageRef, Turn
from tokenizer.layout import PIXELS_PER_CODE
from tokenizer.tasks import TASKS
from tokenizer.tasks.text_to_image import text_to_image_prompt
from tokenizer.tasks.wording import say

GRAY = 128  # level of what is not drawn yet
PREVIEWS = 8  # of a picture while it grows
VQA_WORDING = "<|image|> {question}"  # as the task writes a dialogue whose turns name no picture
DENSE = ("depth", "normal", "pose", "segmentation")


@dataclass(frozen=True, slots=True)
class Settings:
    """How an answer is drawn."""

    seed: int = 0
    guidance: float = 4.0
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class Question:
    """A turn of the user, and the form of its answer."""

    content: tuple[str | ImageRef, ...]
    kind: Literal["image", "text"]
    size: tuple[int, int] | None = None  # width, height in pixels of the answer's picture
    picture: np.ndarray | None = None  # uint8 [H, W, 3], that the question shows
    task: str = "conversation"


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer as far as it is."""

    pictures: tuple[np.ndarray, ...] = ()  # uint8 [H, W, 3]
    text: str = ""
    is_final: bool = False


@dataclass
class _Rows:
    """A picture that grows."""

    codes_HW: np.ndarray
    num_rows: int = 0


class Session:
    """
    Args:
        spec: Loaded at once.
    """

    def __init__(self, recipe: Recipe, spec: EngineSpec):
        self.recipe, self._spec = recipe, spec
        self._engine: Engine = spec.load()
        self._lock = threading.Lock()  # one answer at a time
        self._next = 0

    def read_picture(self, data: bytes) -> np.ndarray:
        """An encoded picture, cut as those of the data are: uint8 [H, W, 3].

        Raises:
            PictureError: It is none.
        """
        return np.asarray(apply_crop(decode_rgb(data), plan_picture(data, self.recipe.tokens)))

    def wording(self, task: str) -> str:
        """The recipe's words for a task, or else the paper's."""
        own = next((weighted.task for weighted in self.recipe.tasks if weighted.kind == task), None) or TASKS[task]()
        wordings: tuple[str, ...] = own.wordings  # type: ignore[attr-defined]
        return wordings[0]

    def ask(self, question: Question, settings: Settings) -> Iterator[Shown]:
        """Yield the answer while it grows, and last the whole one.

        Raises:
            RecipeError: Question and answer are longer than what the model was made for.
        """
        with self._lock:
            self._next += 1
            job = self._job(question, settings)
            yield from _listen(_Work(self._engine, job, question.size))

    def _job(self, question: Question, settings: Settings) -> Job:
        options, seed = self.recipe.sample, settings.seed
        pixels: Mapping[str, np.ndarray] = {} if question.picture is None else {"image": question.picture}
        crops: Mapping[str, Crop] = {}
        line: dict[str, Any] = {
            "key": f"{self._next:04d}",
            "task": question.task,
            "prompt": "".join(part for part in question.content if isinstance(part, str)),
            "number": self._next,
            "answer": question.kind,
            "seed": seed,
            "draw": 0,
            "num_images": 1,
            "guidance": settings.guidance,
            "image_guidance": options.image_guidance if pixels and question.kind == "image" else None,
            "temperature": settings.temperature,
            "image_top_k": options.image_top_k,
            "text_top_k": options.text_top_k,
            "max_text_tokens": options.max_text_tokens,
            "checkpoint": self._spec.checkpoint,
        }
        return Job(Asked(line, (Turn("user", question.content),), {}, crops, question.size, (seed, 0)), pixels)


def caption_question(caption: str, size: tuple[int, int]) -> Question:
    """Text to image."""
    return Question((text_to_image_prompt(caption, size),), "image", size, task="text_to_image")


def edit_question(session: Session, instruction: str, picture_HWC: np.ndarray) -> Question:
    """Editing: the answer is as large as the picture."""
    content = say(session.wording("editing"), {"instruction": instruction}, [ImageRef("image")])
    return Question(content, "image", _size(picture_HWC), picture_HWC, "editing")


def dense_question(session: Session, task: str, picture_HWC: np.ndarray) -> Question:
    """A map of a picture: depth, normal, pose or segmentation."""
    return Question(say(session.wording(task), images=[ImageRef("image")]), "image", _size(picture_HWC), picture_HWC, task)


def text_question(session: Session, question: str, picture_HWC: np.ndarray) -> Question:
    """A question about a picture; without words, its caption is asked for."""
    wording, task = (VQA_WORDING, "vqa") if question.strip() else (session.wording("captioning"), "captioning")
    return Question(say(wording, {"question": question.strip()}, [ImageRef("image")]), "text", None, picture_HWC, task)


class _Stopped(BaseException):
    """Nobody listens any more."""


@dataclass
class _Work:
    """One answer under way in its own thread."""

    engine: Engine
    job: Job
    size: tuple[int, int] | None
    events: "queue.SimpleQueue[Shown | BaseException]" = field(default_factory=queue.SimpleQueue)
    stop: threading.Event = field(default_factory=threading.Event)
    pictures: list[_Rows] = field(default_factory=list)

    def run(self) -> None:
        try:
            [answer] = self.engine.answer([self.job], self._on_row)
            self.events.put(_final(answer))
        except BaseException as error:  # passed on to who listens
            self.events.put(error)
            if not isinstance(error, Exception | _Stopped):
                raise

    def _on_row(self, number: int, image: int, row: int, codes_W: np.ndarray) -> None:
        if self.stop.is_set():
            raise _Stopped
        if self.size is None:
            return
        height = self.size[1] // PIXELS_PER_CODE
        while len(self.pictures) <= image:
            self.pictures.append(_Rows(np.zeros((height, len(codes_W)), np.int64)))
        rows = self.pictures[image]
        rows.codes_HW[row], rows.num_rows = codes_W, row + 1
        if rows.num_rows % max(1, height // PREVIEWS) == 0 and rows.num_rows < height:
            self.events.put(Shown(tuple(self._draw(picture) for picture in self.pictures)))

    def _draw(self, rows: _Rows) -> np.ndarray:
        height, width = rows.codes_HW.shape
        pixels_HWC = np.full((height * PIXELS_PER_CODE, width * PIXELS_PER_CODE, 3), GRAY, np.uint8)
        [drawn] = self.engine.vq.decode(rows.codes_HW[None, : rows.num_rows])
        pixels_HWC[: len(drawn)] = drawn
        return pixels_HWC


def _listen(work: _Work) -> Iterator[Shown]:
    thread = threading.Thread(target=work.run, name="answer", daemon=True)
    thread.start()
    try:
        while True:
            event = work.events.get()
            if isinstance(event, BaseException):
                raise event
            yield event
            if event.is_final:
                return
    finally:
        work.stop.set()
        thread.join()


def _final(answer: Answer) -> Shown:
    pictures = []
    for png in answer.pngs:
        with Image.open(io.BytesIO(png)) as picture:
            pictures.append(np.asarray(picture))
    return Shown(tuple(pictures), "".join(part or "" for part in answer.parts), is_final=True)


def _size(pixels_HWC: np.ndarray) -> tuple[int, int]:
    return pixels_HWC.shape[1], pixels_HWC.shape[0]
