"""Captions over real sockets: whatever the server does, a sample ends captioned or failed with a reason, and nothing is paid twice."""

import base64
import io
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from filters.annotators.caption_server import ServerCaptions
from pipeline.errors import RecipeError, SampleError
from pipeline.samples import Sample
from tests.filters.annotators.chat_server import MODEL, serving, wide
from tests.filters.annotators.pictures import broken, picture

ROOT = Path(__file__).parents[3]
HASTY = {"first_wait_seconds": 0.01, "max_wait_seconds": 5.0, "connect_seconds": 30.0, "read_seconds": 30.0, "total_seconds": 30.0}


def connected(url, **options):
    annotator = ServerCaptions(url=url, model=MODEL, **HASTY | options)
    annotator.check()
    annotator.setup(None)
    return annotator


def run(annotator, given):
    """As the runner does it: captions by key, and reasons of those that failed."""
    captions, reasons, rest = {}, {}, list(given)
    while rest:
        try:
            captions = {sample.key: sample.captions for sample in annotator.annotate(rest)}
            break
        except SampleError as error:
            reasons[error.key] = error.reason
            rest = [sample for sample in rest if sample.key != error.key]
    return captions, reasons


def test_every_sample_ends_captioned_or_failed_with_a_reason():
    plans = {
        0: ["ok"],
        1: ["500", "503", "ok"],
        2: ["429 0.1", "ok"],
        3: ["400"],
        5: ["length"],
        6: ["length a man who is"],
        7: ["say I'm sorry, but I can't help with that."],
        8: ["close", "half", "ok"],
        9: ["malformed", 'malformed {"choices": []}', "malformed [1]", "malformed \xff", "ok"],
        10: ["500"],
        12: ["malformed"],
        13: ["filter"],
        15: ["say  "],
        16: ["429 60"],
        17: ["close"],
        18: ['malformed {"choices": [{"message": {"content": "Half \\ud800 a pair."}, "finish_reason": "stop"}], "usage": null}'],
    }
    with serving(plans=plans) as server:
        captions, reasons = run(connected(server.url, concurrency=8), [*map(wide, plans), broken("bad")])
    assert reasons == {
        "003": "caption_request_refused",
        "006": "caption_truncated",
        "007": "caption_refused",
        "010": "caption_server_error",
        "012": "caption_server_malformed",
        "013": "caption_refused",
        "015": "caption_empty",
        "016": "caption_server_busy",
        "017": "caption_server_error",
        "bad": "broken_image",
    }
    assert set(captions) == {"000", "001", "002", "005", "008", "009", "018"}
    texts = {key: caption.text for key, [caption] in captions.items()}
    assert texts.pop("018") == "Half \ufffd a pair." and texts.pop("005") == "Picture 5 is red." and captions["005"][0].finish == "length"
    assert texts == {key: f"Picture {int(key)} is red. It is wide." for key in texts}
    assert {number: server.asked[number] for number in (0, 1, 2, 3, 7, 9, 10, 16, 17)} == {
        **{0: 1, 1: 3, 2: 2, 3: 1, 7: 1, 9: 5, 10: 5, 16: 1, 17: 5}
    }


def test_no_sample_waits_for_ever():
    plans = {0: ["stall", "ok"], 1: ["stall"], 2: ["trickle"]}
    with serving(plans=plans, stall=4.0) as server:
        limits = {"read_seconds": 1.0, "total_seconds": 1.5, "max_failures": 3}
        captions, reasons = run(connected(server.url, **limits), map(wide, plans))
    assert reasons == {"001": "caption_timeout", "002": "caption_timeout"} and server.asked[1] == 3
    assert [caption.text for caption in captions["000"]] == ["Picture 0 is red. It is wide."]


def test_originals_may_be_kept_and_say_why():
    with serving(plans={0: ["400"], 1: ["say As an AI, I can't see pictures."]}) as server:
        captions, reasons = run(connected(server.url, on_failure="keep_original"), [wide(0), wide(1)])
    assert not reasons
    assert [(c.finish, c.flaw, c.text) for [c] in captions.values()] == [
        ("error", "caption_request_refused", ""),
        ("refused", "caption_refused", "As an AI, I can't see pictures."),
    ]


def test_what_is_sent(tmp_path):
    (tmp_path / "key").write_text("secret-key\n")
    options = {"prompt": "What is it?", "max_side": 64, "max_new_tokens": 50, "temperature": 0.7, "top_p": 0.9, "num_captions": 2}
    with serving() as server:
        annotator = connected(server.url, api_key_file=str(tmp_path / "key"), **options)
        smooth = np.linspace(0, 255, 160 * 80 * 3).reshape(80, 160, 3).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(smooth).save(file, "PNG")
        [sample] = annotator.annotate([Sample("a", "", {"image": file.getvalue()})])
    first, second = sorted(server.payloads, key=lambda payload: payload["seed"])
    assert server.keys == {"Bearer secret-key"}
    assert {name: first[name] for name in ("model", "max_tokens", "temperature", "top_p")} == {
        **{"model": MODEL, "max_tokens": 50, "temperature": 0.7, "top_p": 0.9}
    }
    assert first["seed"] != second["seed"] and len(sample.captions) == 2
    [shown, asked] = first["messages"][0]["content"]
    assert asked == {"type": "text", "text": "What is it?"}
    image = Image.open(io.BytesIO(base64.b64decode(shown["image_url"]["url"].partition(",")[2])))
    wanted = Image.fromarray(smooth).resize((64, 32), Image.Resampling.BICUBIC)
    assert (image.format, image.size) == ("JPEG", (64, 32)) and np.abs(np.asarray(image, int) - np.asarray(wanted, int)).mean() < 4
    assert "secret-key" not in repr(annotator)


def test_a_key_that_the_server_repeats_stays_out_of_the_ledger(tmp_path):
    (tmp_path / "key").write_text("secret-key")
    with serving(plans={0: ["400"]}) as server, pytest.raises(SampleError) as error:
        connected(server.url, api_key_file=str(tmp_path / "key")).annotate([wide(0)])
    assert "no, Bearer ***" in error.value.message


def test_never_more_requests_are_under_way_than_the_bound():
    with serving(delay=0.05, plans={3: ["500", "ok"], 7: ["429", "ok"]}) as server:
        captions, _ = run(connected(server.url, concurrency=3), map(wide, range(20)))
    assert len(captions) == 20 and server.most_under_way == 3


def test_a_server_that_asks_for_time_gets_it():
    with serving(plans={0: ["429 0.4", "ok"], 1: ["503 0.4", "ok"]}) as server:
        captions, _ = run(connected(server.url), [wide(0), wide(1)])
    for number in (0, 1):
        first, second = (when for sample, when in server.times if sample == number)
        assert second - first >= 0.4
    assert len(captions) == 2


def test_waits_grow():
    with serving(plans={0: ["500"]}) as server, pytest.raises(SampleError):
        connected(server.url, first_wait_seconds=0.05, max_failures=4).annotate([wide(0)])
    times = [when for _, when in server.times]
    waits = [later - sooner for sooner, later in pairwise(times)]
    assert all(wait >= least for wait, least in zip(waits, (0.025, 0.05, 0.1), strict=True))


def test_equal_requests_of_a_batch_are_one():
    with serving() as server:
        captions, _ = run(connected(server.url), [wide(0), replace(wide(0), key="twin")])
    assert server.asked == {0: 1} and captions["000"] == captions["twin"]


def test_a_restart_asks_for_nothing_that_is_known(tmp_path):
    given = [wide(number) for number in range(6)]
    with serving(plans={2: ["400", "ok"], 5: ["say I'm sorry, but I can't."]}) as server:
        first, reasons = run(connected(server.url, cache=str(tmp_path)), given)
        assert reasons == {"002": "caption_request_refused", "005": "caption_refused"}
        second, reasons = run(connected(server.url, cache=str(tmp_path)), given)
        assert reasons == {"005": "caption_refused"} and server.asked == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1, 5: 1}
        for change in ({"prompt": "Other"}, {"max_new_tokens": 9}, {"temperature": 1.0}, {"max_side": 20}, {"top_p": 0.5}):
            run(connected(server.url, cache=str(tmp_path), **change), given[:1])
        assert server.asked[0] == 6
    assert {key: second[key] for key in first} == first
    quiet = ServerCaptions(url="http://127.0.0.1:9/v1", model=MODEL, cache=str(tmp_path), check_server=False, max_failures=1)
    quiet.check()
    quiet.setup(None)
    assert run(quiet, given[:5])[0] == second


def test_a_damaged_answer_is_asked_for_again(tmp_path):
    with serving() as server:
        first, _ = run(connected(server.url, cache=str(tmp_path)), [wide(0)])
        [file] = tmp_path.glob("*/*.json")
        for damage in (b"", b"{", b"[]", b'{"answer": {"text": 1, "more": 2}}'):
            file.write_bytes(damage)
            assert run(connected(server.url, cache=str(tmp_path)), [wide(0)])[0] == first
    assert server.asked == {0: 5}


DYING = """
import sys
from tests.filters.annotators.chat_server import MODEL, wide
from filters.annotators.caption_server import ServerCaptions
annotator = ServerCaptions(url=sys.argv[1], model=MODEL, cache=sys.argv[2], concurrency=2)
annotator.setup(None)
annotator.annotate([wide(number) for number in range(40)])
"""


def test_a_process_that_is_killed_pays_again_for_what_was_under_way_at_most(tmp_path):
    with serving(delay=0.03) as server:
        process = subprocess.Popen([sys.executable, "-c", DYING, server.url, str(tmp_path)], cwd=ROOT)
        while len(list(tmp_path.glob("*/*.json"))) < 10:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.1)  # for the requests that were under way
        kept, before = len(list(tmp_path.glob("*/*.json"))), sum(server.asked.values())
        assert 10 <= kept < 40 and before - kept <= 2
        captions, reasons = run(connected(server.url, cache=str(tmp_path)), [wide(number) for number in range(40)])
    assert len(captions) == 40 and not reasons
    assert sum(server.asked.values()) == 40 + before - kept and set(server.asked.values()) <= {1, 2}


def test_ctrl_c_does_not_wait_for_a_server_that_is_down():
    script = DYING.replace("concurrency=2", "concurrency=2, first_wait_seconds=600.0, max_wait_seconds=600.0")
    with serving(plans={number: ["500"] for number in range(40)}) as server:
        process = subprocess.Popen([sys.executable, "-c", script, server.url, ""], cwd=ROOT, stderr=subprocess.PIPE)
        while sum(server.asked.values()) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.2)  # until both wait
        process.send_signal(signal.SIGINT)
        try:
            _, complaint = process.communicate(timeout=30)
        finally:
            process.kill()
    assert b"KeyboardInterrupt" in complaint and sum(server.asked.values()) == 2


def test_several_processes_share_a_cache(tmp_path):
    with serving(delay=0.01) as server:
        commands = [sys.executable, "-c", DYING, server.url, str(tmp_path)]
        processes = [subprocess.Popen(commands, cwd=ROOT) for _ in range(2)]
        assert [process.wait() for process in processes] == [0, 0]
        before = sum(server.asked.values())
        captions, _ = run(connected(server.url, cache=str(tmp_path)), [wide(number) for number in range(40)])
    assert len(captions) == 40 and sum(server.asked.values()) == before
    assert all(json.loads(file.read_bytes())["answer"]["text"] for file in tmp_path.glob("*/*.json"))


def test_what_cannot_work_is_refused_before_any_work(tmp_path):
    with serving() as server:
        with pytest.raises(RecipeError, match="serves org/captioner, not gpt"):
            replace(connected(server.url), model="gpt").check()
        with pytest.raises(RecipeError, match="no such file"):
            connected(server.url, api_key_file=str(tmp_path / "none"))
        (tmp_path / "empty").write_text("\n")
        with pytest.raises(RecipeError, match="holds no key"):
            connected(server.url, api_key_file=str(tmp_path / "empty"))
        gone = server.url
    with pytest.raises(RecipeError, match="no server answers"):
        connected(gone)
    for url in ("localhost:8000/v1", "http://localhost:8000"):
        with pytest.raises(ValueError, match="url is the API's root"):
            ServerCaptions(url=url, model=MODEL)
    with pytest.raises(ValueError, match="time limits"):
        ServerCaptions(url=gone, model=MODEL, read_seconds=0.0)


def test_a_picture_that_is_not_the_samples_own_does_not_name_it():
    with serving() as server:
        twins = [broken("one"), broken("two"), Sample("three", "", {"image": picture(3, size=(17, 16))})]
        captions, reasons = run(connected(server.url), twins)
    assert reasons == {"one": "broken_image", "two": "broken_image"} and set(captions) == {"three"}
