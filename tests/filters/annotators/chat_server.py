"""An OpenAI-compatible server on loopback that behaves as badly as a test asks, and counts what it is asked.

A picture's width says which sample it is: sample n is FIRST_WIDTH + n pixels wide.
"""

import base64
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from pipeline.samples import Sample
from tests.filters.annotators.pictures import picture

FIRST_WIDTH = 16
MODEL = "org/captioner"


def wide(number: int) -> Sample:
    return Sample(f"{number:03}", f"original {number}", {"image": picture(number, size=(FIRST_WIDTH + number, 16))})


@dataclass
class ChatServer:
    """What it does for each sample, and what was asked of it."""

    url: str = ""
    plans: Mapping[int, Sequence[str]] = field(default_factory=dict)  # by sample: what it does at the first, second, ... request
    delay: float = 0.0  # seconds before every answer
    stall: float = 1.0  # seconds of silence of a request that stalls
    asked: Counter[int] = field(default_factory=Counter)  # by sample
    answered: Counter[int] = field(default_factory=Counter)
    payloads: list[dict[str, Any]] = field(default_factory=list)
    times: list[tuple[int, float]] = field(default_factory=list)  # sample, when it was asked for
    keys: set[str | None] = field(default_factory=set)  # Authorization headers
    under_way: int = 0
    most_under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def serving(**options: Any) -> Iterator[ChatServer]:
    """The server in threads of its own, until the block ends."""
    state = ChatServer(**options)

    class Handler(_Handler):
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_state: ChatServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or an answer takes 40 ms more

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.reply(200, json.dumps({"data": [{"id": MODEL}]}).encode())

    def do_POST(self) -> None:
        state = self.server_state
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        url = payload["messages"][0]["content"][0]["image_url"]["url"]
        image = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))))
        number = image.width - FIRST_WIDTH
        with state.lock:
            turn = state.asked[number]
            state.asked[number] += 1
            state.payloads.append(payload)
            state.times.append((number, time.monotonic()))
            state.keys.add(self.headers.get("Authorization"))
            state.under_way += 1
            state.most_under_way = max(state.most_under_way, state.under_way)
        time.sleep(state.delay)
        plan = state.plans.get(number, ["ok"])
        with state.lock:
            state.under_way -= 1
        try:
            self.do(plan[min(turn, len(plan) - 1)], number)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has hung up

    def do(self, step: str, number: int) -> None:
        step, _, detail = step.partition(" ")
        whole = f"Picture {number} is red. It is wide."
        if step.isdigit():
            self.reply(int(step), b'{"error": {"message": "no, Bearer secret-key"}}', {"Retry-After": detail} if detail else {})
        elif step == "stall":
            time.sleep(self.server_state.stall)
            self.say(whole)
        elif step == "trickle":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.03)
        elif step == "close":
            self.close_connection = True
            self.connection.close()
        elif step == "half":
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"choices"')
            self.close_connection = True
        elif step == "malformed":
            self.reply(200, detail.encode() or b'{"choices": [{"mess')
        elif step == "length":
            self.say(detail or f"Picture {number} is red. It is wi", "length")
        elif step == "say":
            self.say(detail)
        elif step == "filter":
            self.say("", "content_filter")
        else:
            with self.server_state.lock:
                self.server_state.answered[number] += 1
            self.say(whole)

    def say(self, text: str, finish: str = "stop") -> None:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        self.reply(200, json.dumps({"choices": [choice], "usage": {"completion_tokens": len(text.split())}}).encode())

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
