"""The HTTP contract, one method a route."""

import base64
import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from lethe.client.errors import (
    LetheApiError,
    LetheError,
    LetheUnreachable,
    api_error,
    may_pass,
    problem_error,
)
from lethe.client.records import ApiKey, ForgetRequest, Job, Model, Pointer, Target, Version, Wish

TIMEOUT_SECONDS = 30.0
UPLOAD_TIMEOUT_SECONDS = 600.0
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 60.0
NOT_SEQUENCED = "not_sequenced"
MAX_BATCH = 1000
LOCAL = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}


class LetheClient:
    """A caller of one Lethe.

    Every method may raise `LetheApiError` (Lethe refused) and `LetheUnreachable` (no answer came).

    Args:
        url: Where the API answers, e.g. `http://127.0.0.1:8321`.
        key: API key.
        transport: How requests travel; over the network unless told otherwise.
    """

    def __init__(self, url: str, key: str, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT_SECONDS,
            transport=transport,
            mounts=LOCAL,  # a proxy of the environment is not for this machine
        )

    def register_model(self, registration: Mapping[str, Any]) -> Model:
        """Register a model by its name, architecture, dataset, training and policy."""
        return Model.model_validate(self._json("POST", "/v1/models", json=dict(registration)))

    def upload_weights(self, model: str, weights: Path) -> Model:
        """Send a safetensors file, streamed and with its digest."""
        with weights.open("rb") as stream:
            digest = base64.b64encode(hashlib.file_digest(stream, "sha256").digest()).decode()
            stream.seek(0)
            answer = self._json(
                "PUT",
                f"{_model_path(model)}/weights",
                content=stream,
                headers={
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(weights.stat().st_size),
                    "Repr-Digest": f"sha-256=:{digest}:",
                },
                timeout=UPLOAD_TIMEOUT_SECONDS,
            )
        return Model.model_validate(answer)

    def models(self) -> Iterator[Model]:
        """Yield every model."""
        return map(Model.model_validate, self._pages("/v1/models"))

    def model(self, name: str) -> Model:
        """Return one model."""
        return Model.model_validate(self._json("GET", _model_path(name)))

    def versions(self, model: str) -> Iterator[Version]:
        """Yield a model's versions."""
        return map(Version.model_validate, self._pages(f"{_model_path(model)}/versions"))

    def version(self, model: str, number: int) -> Version:
        """Return one version."""
        return Version.model_validate(self._json("GET", f"{_model_path(model)}/versions/{number}"))

    def latest(self, model: str, *, etag: str | None = None, wait_seconds: int = 0) -> Pointer | None:
        """Return which version is served, or None if it is still the one that `etag` stands for.

        Args:
            model: The model's name.
            etag: Tag of the pointer that the caller has.
            wait_seconds: How long the server may wait for a change before it answers None.
        """
        response = self._call(
            "GET",
            f"{_model_path(model)}/versions/latest",
            headers={"If-None-Match": etag} if etag else {},
            params={"wait": wait_seconds} if wait_seconds else {},
            timeout=TIMEOUT_SECONDS + wait_seconds,
        )
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return None
        return Pointer(version=Version.model_validate(response.json()), etag=response.headers.get("ETag", ""))

    @contextmanager
    def file(self, model: str, number: int, name: str, start: int = 0) -> Iterator[httpx.Response]:
        """Open a file of a version from byte `start` on; a server may answer with the whole (status 200)."""
        path = f"{_model_path(model)}/versions/{number}/files/{quote(name, safe='')}"
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
        try:
            with self._http.stream("GET", path, headers=headers) as response:
                if response.is_error:
                    response.read()
                    raise api_error(response)
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def forget(
        self,
        model: str,
        target: Target,
        *,
        method: str = "auto",
        submitted_at: datetime | None = None,
        ground: str | None = None,
        idempotency_key: str | None = None,
    ) -> ForgetRequest:
        """Ask a model to forget.

        Args:
            model: The model's name.
            target: What to forget; see `lethe.client.records`.
            method: An unlearning method, or `auto` for the model's policy.
            submitted_at: When the person asked, with time zone; the legal clock starts there. Now, if None.
            ground: Legal ground, e.g. `art-17-1-a`.
            idempotency_key: The same key gives the same request however often it is sent; a new one if None.
        """
        wish = Wish(model, target, method, submitted_at, ground, idempotency_key or str(uuid.uuid4()))
        headers = {"Idempotency-Key": wish.idempotency_key}
        answer = self._patiently("POST", "/v1/forget-requests", json=wish.body(), headers=headers)
        return ForgetRequest.model_validate(answer)

    def forget_many(self, wishes: Sequence[Wish]) -> list[ForgetRequest | LetheApiError]:
        """Ask for many deletions, a thousand a call; each has the answer that it would have alone.

        What a call that fails has left undone is not done; made again with the same wishes, it goes on.
        """
        found: list[ForgetRequest | LetheApiError] = []
        for start in range(0, len(wishes), MAX_BATCH):
            entries = [
                {**wish.body(), "idempotency_key": wish.idempotency_key}
                for wish in wishes[start : start + MAX_BATCH]
            ]
            answer = self._patiently("POST", "/v1/forget-requests/batch", json={"requests": entries})
            found += [
                ForgetRequest.model_validate(item["request"])
                if "request" in item
                else problem_error(item["status"], item["problem"])
                for item in answer["items"]
            ]
        return found

    def request(self, request_id: str) -> ForgetRequest:
        """Return one forget request."""
        return ForgetRequest.model_validate(self._json("GET", _request_path(request_id)))

    def requests(
        self, *, model: str | None = None, status: str | None = None, overdue: bool | None = None
    ) -> Iterator[ForgetRequest]:
        """Yield forget requests, page after page."""
        asked = {"model": model, "status": status, "overdue": overdue}
        return map(ForgetRequest.model_validate, self._pages("/v1/forget-requests", asked))

    def cancel(self, request_id: str) -> ForgetRequest:
        """Take a request back; a run that serves it is broken off. Refused once it was published."""
        return ForgetRequest.model_validate(self._json("DELETE", _request_path(request_id)))

    def decide(self, request_id: str, decision: str, reason: str) -> ForgetRequest:
        """Decide on a request, in the name of whoever the key belongs to.

        Args:
            request_id: The request.
            decision: approve, deny, extend, or accept what its audit did not pass.
            reason: A reason code; prose about a person has no place here.
        """
        body = {"decision": decision, "reason": reason}
        answer = self._json("POST", f"{_request_path(request_id)}/decision", json=body)
        return ForgetRequest.model_validate(answer)

    def follow(
        self, request_id: str, on_change: Callable[[ForgetRequest], None] = lambda request: None
    ) -> ForgetRequest:
        """Wait until nothing more happens to a request by itself, and return it.

        Args:
            request_id: The request.
            on_change: Told of every change of status or progress, the present state first.

        Raises:
            LetheUnreachable, LetheApiError: Lethe was out for a minute; a shorter outage is waited out.
        """
        seen: ForgetRequest | None = None
        heard_at = time.monotonic()
        while True:
            try:
                request = self.request(request_id)
            except LetheError as error:
                if not may_pass(error) or time.monotonic() - heard_at > PATIENCE_SECONDS:
                    raise
            else:
                heard_at = time.monotonic()
                if request != seen:
                    on_change(request)
                if request.is_resting:
                    return request
                seen = request
            time.sleep(POLL_SECONDS)

    def certificate(self, request_id: str) -> bytes:
        """Return a completed request's certificate, a DSSE envelope."""
        return self._call("GET", f"{_request_path(request_id)}/certificate").content

    def proof(self, request_id: str) -> bytes:
        """Return the proof that the certificate's entry is in the log, a C2SP tlog-proof.

        An entry that is new has no place in the log for a moment; that moment is waited out.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._call("GET", f"{_request_path(request_id)}/proof").content
            except LetheApiError as error:
                if error.code != NOT_SEQUENCED or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)

    def report(self, request_id: str, *, form: str = "application/json", plot: str | None = None) -> bytes:
        """Return the report of what was audited for a request, published or not.

        Args:
            request_id: The request.
            form: Media type: `application/json`, `text/html` or `image/svg+xml`.
            plot: Which drawing to return as SVG: `scores`, `reference`, `classes` or `resurrection`.
        """
        params = {"plot": plot} if plot else {}
        path = f"{_request_path(request_id)}/report"
        return self._call("GET", path, headers={"Accept": form}, params=params).content

    def log_checkpoint(self) -> bytes:
        """Return the log's newest signed checkpoint."""
        return self._call("GET", "/v1/log/checkpoint").content

    def log_vkey(self) -> str:
        """Return the public key that the log signs with."""
        return self._call("GET", "/v1/log/vkey").text.strip()

    def log_tile(self, path: str) -> bytes:
        """Return a tile of the log by its C2SP path, e.g. `tile/entries/000.p/17`."""
        return self._call("GET", f"/v1/log/{path}").content

    def methods(self) -> Iterator[dict[str, Any]]:
        """Yield the catalogue of unlearning methods."""
        return self._pages("/v1/methods")

    def create_api_key(self, name: str, scopes: Sequence[str]) -> ApiKey:
        """Make an API key; only this answer has the secret."""
        answer = self._json("POST", "/v1/api-keys", json={"name": name, "scopes": list(scopes)})
        return ApiKey.model_validate(answer)

    def api_keys(self) -> Iterator[ApiKey]:
        """Yield every API key, without the secrets."""
        return map(ApiKey.model_validate, self._pages("/v1/api-keys"))

    def revoke_api_key(self, key_id: str) -> None:
        """End an API key at once."""
        self._call("DELETE", f"/v1/api-keys/{quote(key_id, safe='')}")

    def jobs(self, *, state: str | None = None, model: str | None = None) -> Iterator[Job]:
        """Yield jobs, newest first: those that are not done, unless a state is named."""
        return map(Job.model_validate, self._pages("/v1/jobs", {"state": state, "model": model}))

    def retry_job(self, job_id: str) -> Sequence[str]:
        """Put a parked job back, and return the ids of the failed requests that wait again."""
        answer = self._json("POST", f"/v1/jobs/{quote(job_id, safe='')}/retry")
        return tuple(answer["requests"])

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _pages(self, path: str, asked: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, following the link to the page after."""
        params = {name: value for name, value in (asked or {}).items() if value is not None}
        following = f"{path}?{httpx.QueryParams(params)}" if params else path
        while following:
            page = self._json("GET", following)
            yield from page["items"]
            following = page.get("next") or ""

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return self._call(method, path, **options).json()

    def _patiently(self, method: str, path: str, **options: Any) -> Any:
        """Call as `_json`, again while Lethe takes no more for a moment; only what is safe to send twice."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._json(method, path, **options)
            except LetheApiError as error:
                if error.status != httpx.codes.TOO_MANY_REQUESTS or time.monotonic() > deadline:
                    raise
                time.sleep(error.retry_after_seconds or POLL_SECONDS)

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise api_error(response)
        return response

    def _unreachable(self, error: httpx.TransportError) -> LetheUnreachable:
        return LetheUnreachable(
            f"No answer from {self.url} ({str(error) or type(error).__name__}). Is `lethe up` running there?"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _model_path(model: str) -> str:
    return f"/v1/models/{quote(model, safe='')}"


def _request_path(request_id: str) -> str:
    return f"/v1/forget-requests/{quote(request_id, safe='')}"
