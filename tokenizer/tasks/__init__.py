"""Tasks: each turns a sample into a conversation, in the paper's words.

To add one: a file in this folder, and its import and line here.
"""

from tokenizer.tasks.captioning import Captioning
from tokenizer.tasks.control import Control
from tokenizer.tasks.conversation import OwnTurns
from tokenizer.tasks.dense import Depth, HumanPose, Normal, Segmentation
from tokenizer.tasks.editing import Editing
from tokenizer.tasks.grounding import Grounding
from tokenizer.tasks.interleaved import Interleaved
from tokenizer.tasks.multiview import Multiview
from tokenizer.tasks.no_edit import NoEdit
from tokenizer.tasks.referring import Referring
from tokenizer.tasks.subject import Subject
from tokenizer.tasks.task import Task
from tokenizer.tasks.text_only import TextOnly
from tokenizer.tasks.text_to_image import TextToImage
from tokenizer.tasks.vqa import VQA

TASKS: dict[str, type[Task]] = {
    "text_to_image": TextToImage,
    "captioning": Captioning,
    "vqa": VQA,
    "text_only": TextOnly,
    "conversation": OwnTurns,
    "depth": Depth,
    "normal": Normal,
    "pose": HumanPose,
    "segmentation": Segmentation,
    "grounding": Grounding,
    "referring": Referring,
    "control": Control,
    "editing": Editing,
    "no_edit": NoEdit,
    "multiview": Multiview,
    "subject": Subject,
    "interleaved": Interleaved,
}
