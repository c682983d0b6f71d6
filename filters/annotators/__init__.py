"""Annotators: each adds to samples what can be said of them: captions, boxes, maps.

To add one: a file in this folder, and its line in ANNOTATORS.
"""

from typing import ClassVar, Protocol

from filters.annotators.canny import Canny
from filters.annotators.caption import LocalCaptions
from filters.annotators.caption_server import ServerCaptions
from filters.annotators.depth import Depth
from filters.annotators.detect import DetectPhrases
from filters.annotators.pose import PersonPoses
from filters.annotators.segmentation import Segmentation
from filters.annotators.sketch import Sketch
from pipeline.samples import Sample
from pipeline.stage import Model, ModelSpec, Needs


class Annotator(Protocol):
    """A frozen dataclass whose fields are its options in the recipe.

    Beside these, an annotator may have:
        adds                  roles that every sample with a picture is sure to have afterwards
        untraced              options that leave no trace in the data: a run goes on though they have changed
        check()               raises RecipeError where something but the model cannot be had, a server or a library; called before any work
    """

    needs: ClassVar[Needs]

    @property
    def asks(self) -> ModelSpec | None:
        """The model that it asks; the runner loads it, on a GPU if it has one."""
        ...

    def setup(self, model: Model | None) -> None:
        """Take the model. Called once, on the worker."""
        ...

    def annotate(self, samples: list[Sample]) -> list[Sample]:
        """The samples in order, each with what was found added. A function of the samples alone.

        Raises:
            SampleError: A sample cannot be annotated.
        """
        ...


ANNOTATORS: dict[str, type[Annotator]] = {
    "caption": LocalCaptions,
    "caption_server": ServerCaptions,
    "depth": Depth,
    "segmentation": Segmentation,
    "pose": PersonPoses,
    "canny": Canny,
    "sketch": Sketch,
    "detect": DetectPhrases,
}


def check_annotator(annotator: Annotator) -> None:
    """Called before any work.

    Raises:
        RecipeError: Its model cannot be had, or what it wants beside it.
    """
    if hasattr(annotator, "check"):
        annotator.check()
    if annotator.asks is not None:
        annotator.asks.check()


def fingerprint_annotator(annotator: Annotator) -> str | None:
    """What its answers depend on beside its options; None of one that asks no model."""
    return None if annotator.asks is None else annotator.asks.fingerprint()
