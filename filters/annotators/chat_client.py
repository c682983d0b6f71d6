"""Ask an OpenAI-compatible server for one chat completion, patiently: time limits, and again after a while where that may help.

Source: the format of POST /chat/completions and GET /models in OpenAI's API reference, as vLLM serves it.
"""

import email.utils
import json
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from filters.annotators.answers import Answer, Failure
from pipeline.dice import dice
from pipeline.errors import RecipeError

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES = 1 << 24  # a longer body is no caption
SHOWN = 300  # characters of a server's complaint that are passed on
TRY_LATER = {408, 409, 425, 429}  # the client errors that may go away by themselves; so may all server errors
DENIED = {401, 403}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and how often."""

    max_failures: int  # of one request, then it is given up
    connect_seconds: float
    read_seconds: float  # without a byte; a server that does not stream is silent while it generates
    total_seconds: float  # for one attempt
    first_wait_seconds: float  # after the first failure; doubled each time
    max_wait_seconds: float  # also of what a server asks for by Retry-After: a request that is to wait longer is given up


class ChatClient:
    """A connection pool to one server; may be called from several threads.

    Args:
        url: The API's root, as in http://localhost:8000/v1.
        api_key: Empty for none.
        connections: At most this many at once.
    """

    def __init__(self, url: str, api_key: str, patience: Patience, connections: int):
        import httpx

        self._url = url.rstrip("/")
        self._api_key = api_key
        self._patience = patience
        self._stopped = threading.Event()
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(patience.read_seconds, connect=patience.connect_seconds),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            trust_env=False,  # what a run does hangs on its recipe, not on HTTP_PROXY
        )

    def ask(self, payload: dict[str, Any], digest: str) -> Answer | Failure:
        """Ask until there is an answer, the server refuses for good, or patience ends.

        Args:
            digest: Of the request; waiting times jitter by it.
        """
        body = json.dumps(payload).encode()
        for failures in range(1, self._patience.max_failures + 1):
            result, least_wait = self._attempt(body)
            if isinstance(result, Answer) or least_wait is None or failures == self._patience.max_failures:
                return result
            if least_wait > self._patience.max_wait_seconds:
                return Failure("caption_server_busy", f"the server wants to be asked again in {least_wait:.0f} s")
            if self._stopped.wait(max(least_wait, self._wait(failures, digest))):
                return result
        raise AssertionError("max_failures is at least 1")

    def stop(self) -> None:
        """Nobody waits for answers any more: requests that wait for their next attempt are given up."""
        self._stopped.set()

    def check(self, model: str) -> None:
        """
        Raises:
            RecipeError: No server answers, it does not let us in, or it has other models.
        """
        import httpx

        try:
            response = self._client.get(f"{self._url}/models")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RecipeError(f"annotator caption_server: no server answers at {self._url}: {error or type(error).__name__}") from error
        if response.status_code in DENIED:
            raise RecipeError(f"annotator caption_server: {self._url} says {response.status_code}; api_key_file names the key's file")
        if response.status_code != 200:
            return  # not every server lists its models
        try:
            known = [str(item["id"]) for item in response.json()["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise RecipeError(f"annotator caption_server: {self._url} is no OpenAI-compatible server: {_shown(response.text)}") from error
        if model not in known:
            raise RecipeError(f"annotator caption_server: {self._url} serves {', '.join(known) or 'nothing'}, not {model}")

    def _attempt(self, body: bytes) -> tuple[Answer | Failure, float | None]:
        """One request: what came of it, and at least how many seconds to wait before the next one; None where it would not help."""
        import httpx

        try:
            status, headers, content = self._post(body)
        except (httpx.TimeoutException, TimeoutError) as error:
            return Failure("caption_timeout", f"{self._url}: {error or type(error).__name__}"), 0.0
        except httpx.DecodingError as error:
            return Failure("caption_server_malformed", f"{self._url}: {error}"), 0.0
        except httpx.TransportError as error:
            return Failure("caption_server_error", f"{self._url}: {error or type(error).__name__}"), 0.0
        if status == 200:
            answer = read_completion(content)
            return answer, None if isinstance(answer, Answer) else 0.0
        complaint = f"HTTP {status}: {_shown(content.decode('utf-8', 'replace'))}"
        if self._api_key:
            complaint = complaint.replace(self._api_key, "***")
        if status >= 500 or status in TRY_LATER:
            reason = "caption_server_busy" if status == 429 else "caption_server_error"
            return Failure(reason, complaint), _retry_after(headers.get("Retry-After", ""), datetime.now(UTC))
        return Failure("caption_request_refused", complaint), None

    def _post(self, body: bytes) -> tuple[int, "httpx.Headers", bytes]:
        """
        Raises:
            TimeoutError: The answer takes too long as a whole.
            httpx.TransportError: There is none, or it breaks off.
        """
        deadline = time.monotonic() + self._patience.total_seconds
        content = bytearray()
        headers = {"Content-Type": "application/json"}
        with self._client.stream("POST", f"{self._url}/chat/completions", content=body, headers=headers) as response:
            for chunk in response.iter_bytes():
                content += chunk
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no whole answer within {self._patience.total_seconds:g} s")
                if len(content) > MAX_ANSWER_BYTES:
                    break
            return response.status_code, response.headers, bytes(content)

    def _wait(self, failures: int, digest: str) -> float:
        longest = min(self._patience.first_wait_seconds * 2.0 ** (failures - 1), self._patience.max_wait_seconds)
        return longest * (0.5 + 0.5 * dice(0, digest, f"wait {failures}").random())


def read_completion(content: bytes) -> Answer | Failure:
    """The first choice of a chat completion's JSON."""
    try:
        completion = json.loads(content)
        [choice, *_] = completion["choices"]
        message, finish = choice["message"], choice.get("finish_reason")
        text, refusal = message.get("content") or "", message.get("refusal") or ""
        count = (completion.get("usage") or {}).get("completion_tokens")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Failure("caption_server_malformed", f"{type(error).__name__} in {_shown(content.decode('utf-8', 'replace'))}")
    if not isinstance(text, str) or not isinstance(refusal, str):
        return Failure("caption_server_malformed", f"no text in {_shown(content.decode('utf-8', 'replace'))}")
    num_tokens = count if type(count) is int else None
    if refusal or finish == "content_filter":
        return Answer(refusal or text, "refused", num_tokens)
    return Answer(text, "length" if finish == "length" else "stop", num_tokens)


def _retry_after(value: str, now: datetime) -> float:
    """Seconds that a Retry-After header asks for, given as a number or a date; 0 where it says nothing."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[:SHOWN] + " ..."
