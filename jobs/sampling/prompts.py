"""What the sampler is asked, in the forms in which people write it down.

    a red circle                                                                            prompts.txt: one a line
    {"prompt": "a red circle", "size": "512x768", "seed": 3, "num": 4, "guidance": 5}       prompts.jsonl, or a JSON list
    {"conversations": [{"from": "human", "value": "Add a hat. <|image|>"}], "image": "a.png", "answer": "image"}

`caption` is another name for `prompt`; `id` or `key` names the answers. A dialogue's last turn is the human's; pictures' paths are relative
to the file. Any item may set the names in SETTINGS for itself; what else it holds goes along as metadata.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import RecipeError, ShardError
from pipeline.paths import read_bytes
from pipeline.samples import IMAGE_MARK, Turn
from pipeline.sources.bad_record import BadRecord
from pipeline.sources.dialogues import check_order, picture_roles, place_pictures, read_picture_names, read_turns
from pipeline.sources.item_files import check_object, other_scalars
from pipeline.sources.json_items import find_items, read_items

SETTINGS: dict[str, type | tuple[type, ...]] = {  # by name, what an item may say for itself
    "answer": str,
    "size": str,
    "num": int,
    "seed": int,
    "num_images": int,
    "guidance": (int, float),
    "image_guidance": (int, float),
    "temperature": (int, float),
    "image_top_k": int,
    "text_top_k": int,
    "max_text_tokens": int,
}
NAMES = ("key", "id")
TEXTS = ("prompt", "caption")
OWN = (*SETTINGS, *NAMES, *TEXTS, "conversations", "image", "task")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing that is asked, once or several times."""

    where: str  # for messages: "prompts.txt:3"
    text: str  # a caption, or a dialogue's last turn
    turns: tuple[Turn, ...] = ()  # of a dialogue; without any, `text` is a caption
    pictures: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # by role: the folder that a path is relative to, the path
    settings: Mapping[str, Any] = field(default_factory=dict)  # of SETTINGS, over the recipe's
    key: str = ""  # of its answers; empty: their number
    task: str = ""  # of its sequences; empty: by what is asked
    metadata: Mapping[str, Any] = field(default_factory=dict)  # other scalars that came with it


def plain_prompts(texts: list[str] | tuple[str, ...], where: str) -> list[Prompt]:
    """Captions as prompts.

    Raises:
        RecipeError: One says nothing.
    """
    for number, text in enumerate(texts):
        if not text.strip():
            raise RecipeError(f"{where}[{number}]: an empty prompt")
    return [Prompt(f"{where}[{number}]", text) for number, text in enumerate(texts)]


def read_prompts(path: str) -> list[Prompt]:
    """The prompts of a file, in order; dialogues may stand among them.

    Raises:
        RecipeError: It is not there, of another form, or holds none.
    """
    if path.endswith(".txt"):
        try:
            lines = read_bytes(path).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise RecipeError(f"{path}: no UTF-8 ({error})") from error
        prompts = [Prompt(f"{path}:{number}", line) for number, line in enumerate(lines, start=1) if line.strip()]
    elif path.endswith((".json", ".jsonl")):
        prompts = list(_read_json(path, only_dialogues=False))
    else:
        raise RecipeError(f"{path}: prompts stand in .txt, .json or .jsonl files")
    if not prompts:
        raise RecipeError(f"{path}: no prompt in it")
    return prompts


def read_conversations(path: str) -> list[Prompt]:
    """The dialogues of a file, in order.

    Raises:
        RecipeError: It is not there, of another form, or holds none.
    """
    if not (prompts := list(_read_json(path, only_dialogues=True))):
        raise RecipeError(f"{path}: no dialogue in it")
    return prompts


def _read_json(path: str, *, only_dialogues: bool) -> Iterator[Prompt]:
    try:
        places = find_items(path)
        for where, found in read_items(path, places, 0, len(places)):
            try:
                item = check_object(found)
                if only_dialogues and "conversations" not in item:
                    raise BadRecord("bad_field", "no 'conversations' in it")
                yield _read_item(item, where, posixpath.dirname(path))
            except BadRecord as error:
                raise RecipeError(f"{where}: {error.message}") from error
    except ShardError as error:
        raise RecipeError(str(error)) from error


def _read_item(item: dict[str, Any], where: str, root: str) -> Prompt:
    settings = {name: item[name] for name in SETTINGS if item.get(name) is not None}
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, SETTINGS[name]):
            raise BadRecord("bad_field", f"{name} is {value!r}")
    key = next((str(item[name]) for name in NAMES if item.get(name) not in (None, "")), "")
    task = item.get("task", "")
    if not isinstance(task, str):
        raise BadRecord("bad_field", f"task is {task!r}")
    metadata = other_scalars(item, used=OWN)
    if "conversations" not in item:
        text = next((item[name] for name in TEXTS if name in item), None)
        if not isinstance(text, str) or not text.strip():
            raise BadRecord("bad_field", f"neither prompt, caption nor conversations say anything: {str(item)[:200]}")
        if item.get("image"):
            raise BadRecord("bad_field", f"a prompt with a picture is a dialogue: write 'conversations', with {IMAGE_MARK} in a turn")
        return Prompt(where, text, settings=settings, key=key, task=task, metadata=metadata)
    names = read_picture_names(item, "image")
    roles = picture_roles(len(names))
    values = check_order(read_turns(item))
    if len(values) % 2 == 0:
        raise BadRecord("bad_turns", "the last turn is the model's: nothing is left to be answered")
    turns = place_pictures(values, roles, mark=IMAGE_MARK, gap=" ")
    pictures = {role: (root, name) for role, name in zip(roles, names, strict=True)}
    return Prompt(where, values[-1], turns, pictures, settings, key, task, metadata)
