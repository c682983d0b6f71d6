"""Tasks: each turns a sample into a conversation, in the paper's words.

To add one: a file in this folder, and its import and line here.
"""

from tokenizer.tasks.captioning import Captioning
from tokenizer.tasks.conversation import OwnTurns
from tokenizer.tasks.interleaved import Interleaved
from tokenizer.tasks.task import Task
from tokenizer.tasks.text_only import TextOnly
from tokenizer.tasks.text_to_image import TextToImage

TASKS: dict[str, type[Task]] = {
    "text_to_image": TextToImage,
    "captioning": Captioning,
    "text_only": TextOnly,
    "conversation": OwnTurns,
    "interleaved": Interleaved,
}
