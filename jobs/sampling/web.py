"""The page of `mgpt serve`: a tab for each thing to ask, pictures that appear row by row. Made with gradio, an optional extra.

Every tab is an endpoint, too: /text_to_image, /edit, /dense, /ask (see "Use via API" at the foot of the page).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jobs.lm.options import AUTO_SIZE, parse_size
from jobs.sampling.session import (
    DENSE,
    Question,
    Session,
    Settings,
    Shown,
    caption_question,
    dense_question,
    edit_question,
    text_question,
)
from pipeline.buckets import make_buckets
from pipeline.errors import MgptError, RecipeError

MAX_SEED = 2**31 - 1
FONTS = ["system-ui", "sans-serif"]  # of the reader's own machine: nothing is fetched


def import_gradio() -> Any:
    """
    Raises:
        RecipeError: It is not installed.
    """
    try:
        import gradio
    except ImportError as error:
        raise RecipeError(f"serve: wants gradio: pip install 'mgpt[serve]' ({error})") from error
    return gradio


def list_sizes(session: Session) -> list[str]:
    """What can be asked for: the recipe's size first, then its buckets from the widest to the tallest."""
    tokens, own = session.recipe.tokens, session.recipe.sample.size
    buckets = [size for target in (tokens.target_size, *tokens.smaller_targets) for size in make_buckets(target)]
    return list(dict.fromkeys([*([own] if own != AUTO_SIZE else []), *(f"{width}x{height}" for width, height in buckets)]))


def build_page(session: Session, gradio: Any) -> Any:
    """The page, not yet served."""
    answers = Answers(session, gradio)
    with gradio.Blocks(title="mgpt", analytics_enabled=False) as page:
        with gradio.Tab("Text to image"):
            caption, size = gradio.Textbox(label="Prompt", lines=3), gradio.Dropdown(list_sizes(session), label="Width x height")
            _wire(gradio, answers.text_to_image, [caption, size], gradio.Image(label="Answer", format="png"), session, "text_to_image")
        with gradio.Tab("Editing"):
            shown, words = gradio.Image(label="Picture", type="filepath"), gradio.Textbox(label="Instruction")
            _wire(gradio, answers.edit, [shown, words], gradio.Image(label="Answer", format="png"), session, "edit")
        with gradio.Tab("Maps"):
            shown, task = gradio.Image(label="Picture", type="filepath"), gradio.Radio(list(DENSE), value=DENSE[0], label="Map")
            _wire(gradio, answers.dense, [shown, task], gradio.Image(label="Answer", format="png"), session, "dense")
        with gradio.Tab("Captions and questions"):
            shown, words = gradio.Image(label="Picture", type="filepath"), gradio.Textbox(label="Question (none: describe it)")
            _wire(gradio, answers.ask, [shown, words], gradio.Textbox(label="Answer", lines=6), session, "ask")
    return page


def serve_page(session: Session, gradio: Any, *, host: str, port: int) -> Any:
    """Serve the page from a thread of its own.

    Raises:
        RecipeError: The port is taken, or the host none of this machine.
    """
    page = build_page(session, gradio)
    theme = gradio.themes.Default(font=FONTS, font_mono=["ui-monospace", "monospace"])
    try:
        page.queue(default_concurrency_limit=1).launch(
            server_name=host, server_port=port, share=False, quiet=True, prevent_thread_lock=True, theme=theme
        )
    except OSError as error:
        raise RecipeError(f"serve: {host}:{port}: {error}") from error
    return page


class Answers:
    """What the tabs call: the question's own parts, then seed, guidance, temperature."""

    def __init__(self, session: Session, gradio: Any):
        self._session, self._gradio = session, gradio

    def text_to_image(self, caption: str, size: str, seed: float, guidance: float, temperature: float) -> Iterator[np.ndarray]:
        def question() -> Question:
            return caption_question(_said(caption, "prompt"), parse_size(size))

        for shown in self._stream(question, seed, guidance, temperature):
            yield shown.pictures[0]

    def edit(self, picture: str | None, instruction: str, seed: float, guidance: float, temperature: float) -> Iterator[np.ndarray]:
        def question() -> Question:
            return edit_question(self._session, _said(instruction, "instruction"), self._picture(picture))

        for shown in self._stream(question, seed, guidance, temperature):
            yield shown.pictures[0]

    def dense(self, picture: str | None, task: str, seed: float, guidance: float, temperature: float) -> Iterator[np.ndarray]:
        def question() -> Question:
            return dense_question(self._session, task, self._picture(picture))

        for shown in self._stream(question, seed, guidance, temperature):
            yield shown.pictures[0]

    def ask(self, picture: str | None, words: str, seed: float, guidance: float, temperature: float) -> Iterator[str]:
        def question() -> Question:
            return text_question(self._session, words or "", self._picture(picture))

        for shown in self._stream(question, seed, guidance, temperature):
            yield shown.text

    def _stream(self, question: Callable[[], Question], seed: float, guidance: float, temperature: float) -> Iterator[Shown]:
        """What is wrong with the question is said on the page."""
        try:
            if not (seed >= 0 and guidance >= 0 and temperature > 0):
                raise RecipeError("seed and guidance are 0 or more, temperature above 0")
            yield from self._session.ask(question(), Settings(int(seed), float(guidance), float(temperature)))
        except MgptError as error:
            raise self._gradio.Error(str(error)) from error

    def _picture(self, path: str | None) -> np.ndarray:
        if path is None:
            raise RecipeError("a picture is wanted")
        return self._session.read_picture(Path(path).read_bytes())


def _said(words: str | None, what: str) -> str:
    if not (words or "").strip():
        raise RecipeError(f"the {what} says nothing")
    return str(words)


def _wire(gradio: Any, answer: Callable[..., Any], inputs: list[Any], output: Any, session: Session, name: str) -> None:
    """The settings below a tab's own fields, and its button."""
    options = session.recipe.sample
    own = session.recipe.seed if options.seed is None else options.seed
    seed = gradio.Number(label="Seed", value=own, precision=0, minimum=0, maximum=MAX_SEED)
    guidance = gradio.Slider(0, 15, value=options.guidance, step=0.1, label="Guidance (1: none)", visible=name != "ask")
    temperature = gradio.Slider(0.05, 2, value=options.temperature, step=0.05, label="Temperature")
    gradio.Button("Answer", variant="primary").click(answer, [*inputs, seed, guidance, temperature], output, api_name=name)
