"""Captions from a server that speaks OpenAI's protocol, such as vLLM."""

import base64
import hashlib
import io
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from PIL import Image

from filters.annotators.answer_cache import AnswerCache, request_digest
from filters.annotators.answers import Answer, AnswerRules, Failure
from filters.annotators.captioning import OnFailure, Said, refuse_options, with_captions
from filters.annotators.chat_client import ChatClient, Patience
from filters.annotators.held_answers import HeldAnswers
from filters.pictures import show
from pipeline import paths
from pipeline.dice import dice
from pipeline.errors import RecipeError, SampleError
from pipeline.samples import Sample
from pipeline.stage import Model, Needs

JPEG_QUALITY = 90  # of the picture that is sent


@dataclass(frozen=True)
class ServerCaptions:
    """Add captions of the main picture, asked of a server; each is asked for once, and with a cache once for ever.

    A run over a server can be repeated to the byte as far as the server answers the same again, or the cache does.
    """

    adds_captions: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(batch_size=256)  # more than are under way at once: at a batch's end connections idle
    asks: ClassVar[None] = None
    untraced: ClassVar[tuple[str, ...]] = (
        *("url", "api_key_file", "concurrency", "cache", "check_server", "max_failures"),
        *("connect_seconds", "read_seconds", "total_seconds", "first_wait_seconds", "max_wait_seconds"),
    )

    url: str  # the API's root: http://localhost:8000/v1
    model: str  # as the server names it
    prompt: str = "Describe this picture in two or three sentences. Say only what can be seen."
    name: str = "generated"  # under which captions are stored, and get their share in tokens.captions
    num_captions: int = 1  # a sample; more than one want a temperature
    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0  # of temperatures above 0; each request gets a seed of its own, by (seed, key)
    max_side: int = 1024  # pixels of the longer side of the JPEG that is sent
    truncated: Literal["cut", "drop", "keep"] = "cut"  # a caption that ends in mid-sentence: cut back to its last whole one, or not used
    refused: Literal["drop", "keep"] = "drop"  # "I'm sorry, but I can't ..." is not used
    on_failure: OnFailure = "fail"  # of a sample without a caption that can be used
    api_key_file: str = ""  # a file with the key in it, readable on every worker; empty sends none
    cache: str = ""  # a folder for answers, shared by all workers; empty keeps none
    concurrency: int = 16  # requests under way at once, for each worker of the run
    check_server: bool = True  # ask it for its models before any work
    max_failures: int = 5  # attempts at one request; a client error (4xx but for 408, 409, 425, 429) is final
    connect_seconds: float = 10.0
    read_seconds: float = 120.0  # without a byte: a server is silent while it generates
    total_seconds: float = 300.0  # for one attempt
    first_wait_seconds: float = 0.5  # after the first failure; doubled each time, with jitter
    max_wait_seconds: float = 60.0  # a server that asks for more by Retry-After is not asked again
    _client: list[ChatClient] = field(default_factory=list, init=False, repr=False, compare=False)
    _held: HeldAnswers = field(default_factory=HeldAnswers, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        refuse_options(self, self.concurrency, self.max_failures)
        if not self.url.startswith(("http://", "https://")) or not self.url.rstrip("/").endswith("/v1"):
            raise ValueError(f"url is the API's root, http(s)://HOST:PORT/v1, got {self.url!r}")
        if min(self.connect_seconds, self.read_seconds, self.total_seconds) <= 0 or min(self.first_wait_seconds, self.max_wait_seconds) < 0:
            raise ValueError("time limits must be above 0, waiting times 0 or more")

    def check(self) -> None:
        """
        Raises:
            RecipeError: httpx is not installed, the key cannot be read, or the server does not answer or has no such model.
        """
        try:
            client = self._connect()
        except ModuleNotFoundError as error:
            raise RecipeError("annotator caption_server: wants httpx; install mgpt[caption]") from error
        if self.check_server:
            client.check(self.model)

    def setup(self, model: Model | None) -> None:
        self._client[:] = [self._connect()]

    def annotate(self, samples: list[Sample]) -> list[Sample]:
        rules = AnswerRules(self.name, self.model, self.prompt, self.truncated, self.refused)
        return with_captions(samples, self._ask, self._held, rules=rules, on_failure=self.on_failure)

    def _connect(self) -> ChatClient:
        key = ""
        if self.api_key_file:
            key = paths.read_bytes(self.api_key_file).decode("ascii", "replace").strip()
            if not key.isprintable() or not key.isascii() or not key:
                raise RecipeError(f"annotator caption_server: {self.api_key_file} holds no key")
        patience = Patience(
            max_failures=self.max_failures,
            connect_seconds=self.connect_seconds,
            read_seconds=min(self.read_seconds, self.total_seconds),
            total_seconds=self.total_seconds,
            first_wait_seconds=self.first_wait_seconds,
            max_wait_seconds=self.max_wait_seconds,
        )
        return ChatClient(self.url, key, patience, self.concurrency)

    def _ask(self, samples: list[Sample]) -> list[Said]:
        pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="caption")
        try:
            futures: dict[str, Future[Answer | Failure | SampleError]] = {}  # by digest: equal requests are one
            waiting: list[list[Future[Answer | Failure | SampleError]]] = []
            for sample in samples:
                requests = [self._request(sample, number) for number in range(self.num_captions)]
                digests = [request_digest(request) for request in requests]
                for request, digest in zip(requests, digests, strict=True):
                    if digest not in futures:
                        futures[digest] = pool.submit(self._answer, sample, request, digest)
                waiting.append([futures[digest] for digest in digests])
            return [_gather(sample, [future.result() for future in own]) for sample, own in zip(samples, waiting, strict=True)]
        except BaseException:  # Ctrl-C does not wait for a server that is down
            self._client[0].stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _request(self, sample: Sample, number: int) -> dict[str, Any]:
        """Whatever the answer may depend on; the picture by its checksum, before it is scaled."""
        request = {
            "picture": hashlib.sha256(sample.images[sample.main_role or ""]).hexdigest(),
            "max_side": self.max_side,
            "jpeg_quality": JPEG_QUALITY,
            "model": self.model,
            "prompt": self.prompt,
            "max_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
        }
        if self.temperature > 0:
            request["seed"] = dice(self.seed, sample.key, f"caption {number}").getrandbits(31)
        return request

    def _answer(self, sample: Sample, request: dict[str, Any], digest: str) -> Answer | Failure | SampleError:
        cache = AnswerCache(self.cache) if self.cache else None
        if cache and (known := cache.get(digest)):
            return known
        try:
            picture = show(sample, self.max_side)
        except SampleError as error:
            return error
        [client] = self._client
        answer = client.ask(self._payload(picture, request), digest)
        if cache and isinstance(answer, Answer):
            cache.put(digest, request, answer)
        return answer

    @staticmethod
    def _payload(picture: Image.Image, request: dict[str, Any]) -> dict[str, Any]:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=JPEG_QUALITY)
        url = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": request["prompt"]}]
        sampling = {name: request[name] for name in ("model", "max_tokens", "temperature", "top_p", "seed") if name in request}
        return sampling | {"messages": [{"role": "user", "content": content}]}


def _gather(sample: Sample, found: list[Answer | Failure | SampleError]) -> Said:
    answers = [each for each in found if not isinstance(each, SampleError)]
    broken = next((each for each in found if isinstance(each, SampleError)), None)
    return SampleError(sample.key, broken.reason, broken.message) if broken else answers  # an equal picture may be another sample's
