"""`mgpt serve`: what people ask, in the words of training; answers that appear row by row, and over a real server the same ones."""

import io
import json
import socket
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from jobs.__main__ import main
from jobs.recipe import load_recipe
from jobs.sampling.engine import engine_spec
from jobs.sampling.session import (
    DENSE,
    GRAY,
    Session,
    Settings,
    caption_question,
    dense_question,
    edit_question,
    text_question,
)
from jobs.sampling.web import list_sizes, serve_page
from pipeline.errors import RecipeError
from pipeline.images import PictureError
from pipeline.samples import ImageRef
from tests.jobs.sampling_recipes import write_model, write_pictures, write_sample_recipe

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder with a recipe and pictures, and a session on it."""
    folder = tmp_path_factory.mktemp("serve")
    model = write_model(folder / "model")
    write_pictures(folder)
    recipe, _ = write_sample_recipe(folder, model)
    loaded = load_recipe(str(recipe), [])
    return folder, recipe, Session(loaded, engine_spec(loaded, model))


def picture(folder, session):
    return session.read_picture((folder / "a.png").read_bytes())


def test_rows_appear_from_the_top_and_the_last_view_is_the_picture(served):
    folder, recipe, session = served
    views = list(session.ask(caption_question("a red circle", (64, 64)), Settings(seed=5, guidance=2.0)))
    assert [view.is_final for view in views] == [False, False, False, True]
    for number, view in enumerate(views[:-1], start=1):
        [grown] = view.pictures
        assert grown.shape == (64, 64, 3)
        assert (grown[16 * number :] == GRAY).all() and not (grown[16 * number - 16 : 16 * number] == GRAY).all()
    (folder / "one.jsonl").write_text(json.dumps({"prompt": "a red circle", "size": "64x64", "seed": 5}))
    assert main(["sample", str(recipe), "--prompts", f"{folder}/one.jsonl"]) == 0
    with Image.open(folder / "out" / "samples" / "0000.png") as sampled:
        assert np.array_equal(np.asarray(sampled), views[-1].pictures[0])


def test_editing_and_maps_ask_in_the_tasks_words_for_a_picture_of_the_same_size(served):
    folder, _, session = served
    shown = picture(folder, session)
    assert edit_question(session, "Add a hat.", shown).content == ("Add a hat. ", ImageRef("image"))
    words = [dense_question(session, task, shown).content[0] for task in DENSE]
    assert words == ["Depth estimation. ", "Surface normal estimation. ", "Human pose estimation. ", "Semantic segmentation. "]
    *_, last = session.ask(edit_question(session, "Add a hat.", shown), Settings())
    assert last.pictures[0].shape == shown.shape == (32, 96, 3)


def test_the_recipe_s_own_words_go_before_the_paper_s(served, tmp_path):
    folder, recipe, session = served
    own = tmp_path / "recipe.toml"
    own.write_text(recipe.read_text() + '[[task]]\nkind = "depth"\nwordings = ["How far? <|image|>"]\n')
    session = Session(load_recipe(str(own), []), engine_spec(load_recipe(str(own), []), folder / "model"))
    assert dense_question(session, "depth", np.zeros((32, 32, 3), np.uint8)).content[0] == "How far? "


def test_questions_are_answered_in_text_and_without_one_a_caption_is_asked_for(served):
    folder, _, session = served
    shown = picture(folder, session)
    assert text_question(session, " What? ", shown).content == (ImageRef("image"), " What?")
    assert text_question(session, "", shown).content == ("Describe the image in detail. ", ImageRef("image"))
    [answer] = session.ask(text_question(session, "What?", shown), Settings())
    assert answer.text and answer.is_final and answer.pictures == ()


def test_who_stops_listening_stops_the_model_and_leaves_it_free(served):
    _, _, session = served
    answer = session.ask(caption_question("a", (64, 64)), Settings())
    next(answer)
    answer.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "answer"]
    assert list(session.ask(caption_question("a", (32, 32)), Settings()))[-1].is_final


def test_what_cannot_be_answered_is_the_asker_s_error(served):
    _, _, session = served
    with pytest.raises(RecipeError, match="the model was made for 512"):
        list(session.ask(caption_question("a", (1024, 1024)), Settings()))
    with pytest.raises(PictureError):
        session.read_picture(b"no picture")


def test_sizes_are_the_recipe_s_and_its_buckets(served):
    assert list_sizes(served[2]) == ["64x32", "128x32", "96x32", "64x64", "32x64", "32x96", "32x128"]


def test_without_gradio_the_extra_is_named(served, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    _, recipe, _ = served
    assert main(["serve", str(recipe)]) == 2
    assert "pip install 'mgpt[serve]'" in capsys.readouterr().err
    assert main(["serve", str(recipe), "--dry-run"]) == 0
    assert "http://127.0.0.1:7860" in capsys.readouterr().out
    assert main(["serve", str(recipe), "--dry-run", "--port", "0"]) == 2


def test_a_real_server_answers_as_the_session_does(served):
    gradio, client = pytest.importorskip("gradio"), pytest.importorskip("gradio_client")
    folder, _, session = served
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = serve_page(session, gradio, host="127.0.0.1", port=port)
    try:
        with pytest.raises(RecipeError, match=f"serve: 127.0.0.1:{port}"):
            serve_page(session, gradio, host="127.0.0.1", port=port)
        asker = client.Client(f"http://127.0.0.1:{port}", verbose=False)
        job = asker.submit("a red circle", "64x64", 5, 2.0, 1.0, api_name="/text_to_image")
        job.result(timeout=60)
        assert len(job.outputs()) == 4
        *_, last = session.ask(caption_question("a red circle", (64, 64)), Settings(5, 2.0, 1.0))
        with Image.open(_path(job.outputs()[-1])) as answered:
            assert np.array_equal(np.asarray(answered.convert("RGB")), last.pictures[0])
        shown = client.handle_file(str(folder / "a.png"))
        for name, words in {"/edit": "Add a hat.", "/dense": "depth"}.items():
            with Image.open(_path(asker.predict(shown, words, 0, 2.0, 1.0, api_name=name))) as answered:
                assert answered.size == (96, 32)
        assert asker.predict(shown, "What?", 0, 1.0, 1.0, api_name="/ask")
        with pytest.raises(Exception, match="the prompt says nothing"):
            asker.predict(" ", "64x64", 5, 2.0, 1.0, api_name="/text_to_image")
    finally:
        page.close()


def _path(output):
    return output["path"] if isinstance(output, dict) else output


def test_a_picture_is_read_from_any_encoding(served):
    file = io.BytesIO()
    Image.new("L", (70, 64), 200).save(file, "JPEG")
    assert served[2].read_picture(file.getvalue()).shape == (64, 64, 3)
