"""The official client, made strict: every answer is checked, in every test, without being asked.

A problem is written to a ledger rather than raised, because answers also arrive in threads, and because the
SDK would wrap an exception in its own. The `strict` fixture fails the test whose ledger is not empty.
"""

import json
import threading

import httpx2
from anthropic import Anthropic, DefaultHttpxClient
from anthropic._streaming import SSEDecoder

from daybreak_sdk_tests import schema

TIMEOUT_S = 30


class Ledger:
    """What was wrong with the answers so far."""

    def __init__(self):
        self._lock = threading.Lock()
        self._entries: list[str] = []
        self._request_ids: set[str] = set()

    def write(self, where: str, found: list[str]):
        with self._lock:
            self._entries += [f"{where}\n    {problem}" for problem in found]

    def take(self) -> list[str]:
        """The entries since the last time, and a clean page."""
        with self._lock:
            entries, self._entries = self._entries, []
            return entries

    def is_new_request_id(self, request_id: str) -> bool:
        with self._lock:
            fresh = request_id not in self._request_ids
            self._request_ids.add(request_id)
            return fresh


def where(response: httpx2.Response) -> str:
    return f"{response.request.method} {response.request.url.raw_path.decode()} → {response.status_code}"


def _unique_keys(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key stands twice in {keys}")
    return dict(pairs)


def check_response(ledger: Ledger, response: httpx2.Response):
    """Everything that can be said of an answer without knowing which object it should be."""
    found = []
    request_id = response.headers.get("request-id", "")
    if not request_id.startswith("req_"):
        found.append(f"request-id header: {request_id!r}")
    elif not ledger.is_new_request_id(request_id):
        found.append(f"request-id header: {request_id!r} was used before")
    kind = response.headers.get("content-type", "").partition(";")[0]
    failed = response.status_code >= 400
    is_download = response.request.url.path.endswith("/content") and not failed
    if failed and kind != "application/json":
        found.append(f"an error's content-type is {kind!r}")
    if kind == "application/json" and not is_download:
        try:
            body = json.loads(response.read(), object_pairs_hook=_unique_keys)
        except ValueError as error:
            found.append(f"not one plain JSON value: {error}")
        else:
            if failed:
                found += schema.error_problems(response.status_code, body)
                if not found and body["request_id"] != request_id:
                    found.append(f"request_id {body['request_id']!r} is not the header's {request_id!r}")
    if response.status_code >= 500:
        found.append(f"the server failed: {response.read().decode(errors='replace')}")
    ledger.write(where(response), found)


class _StrictDecoder:
    """The SDK's decoder of server-sent events, with an eye on the framing."""

    def __init__(self, ledger: Ledger):
        self._ledger = ledger

    def iter_bytes(self, chunks):
        for frame in SSEDecoder().iter_bytes(chunks):
            self._ledger.write(f"SSE frame {frame.raw}", _frame_problems(frame))
            yield frame

    def aiter_bytes(self, _chunks):
        raise NotImplementedError("these tests use the synchronous client")


def _frame_problems(frame) -> list[str]:
    if frame.event is None:
        return ["a frame without a name is dropped by the SDKs"]
    try:
        body = json.loads(frame.data, object_pairs_hook=_unique_keys)
    except ValueError as error:
        return [f"data is not one plain JSON value: {error}"]
    if frame.event == "error":
        return schema.error_problems(500, body)
    if body.get("type") != frame.event:
        return [f"the frame is named {frame.event!r}, its data {body.get('type')!r}"]
    return []


class StrictAnthropic(Anthropic):
    """The official client: retries off, its own strict mode on, every answer judged by a closed schema."""

    def __init__(self, *, base_url: str, api_key: str, ledger: Ledger, **options):
        self.ledger = ledger
        options.setdefault("max_retries", 0)
        options.setdefault("timeout", TIMEOUT_S)
        super().__init__(
            base_url=base_url,
            api_key=api_key,
            http_client=DefaultHttpxClient(
                event_hooks={"response": [lambda response: check_response(ledger, response)]},
                **({"transport": options.pop("transport")} if "transport" in options else {}),
            ),
            _strict_response_validation=True,
            **options,
        )

    # The one place where the SDK turns a decoded answer, or a decoded frame, into a model.
    def _process_response_data(self, *, data, cast_to, response):
        self.ledger.write(f"{where(response)} as {_name(cast_to)}", schema.problems(cast_to, data))
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)

    def _make_sse_decoder(self):
        return _StrictDecoder(self.ledger)


def _name(type_) -> str:
    return getattr(type_, "__name__", None) or "a union"


class Wire:
    """Plain HTTP for what the SDK would not send: wrong bodies, wrong headers, odd query strings."""

    def __init__(self, *, base_url: str, api_key: str, ledger: Ledger):
        self._client = httpx2.Client(
            base_url=base_url,
            timeout=TIMEOUT_S,
            headers={
                "x-api-key": api_key,
                "anthropic-version": "2023-06-01",
                "anthropic-beta": "managed-agents-2026-04-01",
            },
            event_hooks={"response": [lambda response: check_response(ledger, response)]},
        )

    def request(self, method: str, path: str, *, headers=None, **options) -> httpx2.Response:
        """A header of None is not sent."""
        request = self._client.build_request(method, path, **options)
        for name, value in (headers or {}).items():
            if value is None:
                request.headers.pop(name, None)
            else:
                request.headers[name] = value
        return self._client.send(request)

    def get(self, path: str, **options) -> httpx2.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options) -> httpx2.Response:
        return self.request("POST", path, **options)

    def delete(self, path: str, **options) -> httpx2.Response:
        return self.request("DELETE", path, **options)

    def stream(self, path: str):
        return self._client.stream("GET", path)

    def close(self):
        self._client.close()
