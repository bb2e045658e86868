"""A client of the HTTP API: signs with Signature Version 4, as every AWS SDK does, and tries again when told to."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

SERVICE = "execute-api"
_ATTEMPTS = 6
_PAUSE = 0.2
"""Seconds before the second attempt, and twice as many before each further one."""
_TIMEOUT = urllib3.Timeout(connect=5, read=40)


class Refused(Exception):
    """The API said no: an RFC 9457 problem, or API Gateway's own word."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status, self.title, self.detail = status, title, detail


@dataclass(frozen=True)
class Answer:
    """What came back. `document` is the body's JSON, or None if it is none."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass
class ApiClient:
    """`credentials` are botocore's; `url` is the stack's output ApiUrl."""

    url: str
    credentials: Any
    region: str
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=32, retries=False))

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, whatever is answered. Raises urllib3's HTTPError if nothing is."""
        given = {name: str(value) for name, value in (query or {}).items() if value is not None}
        url = f"{self.url.rstrip('/')}{quote(path)}" + (f"?{urlencode(given, quote_via=quote)}" if given else "")
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        request = AWSRequest(method, url, data=data, headers={**kind, **(headers or {})})
        SigV4Auth(self.credentials, SERVICE, self.region).add_auth(request)
        sent = dict(request.headers.items())
        answer = self._pool.request(method, url, body=data, headers=sent, timeout=_TIMEOUT, redirect=False)
        return Answer(answer.status, answer.headers, answer.data)

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The document that is answered with. What was throttled, or is to be tried again, is. Raises Refused."""
        return self.answer(method, path, body, **more).document

    def answer(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """The same with its status."""
        pause = _PAUSE
        for attempt in range(1, _ATTEMPTS + 1):
            answer = self.send(method, path, body, **more)
            if answer.status not in {429, 503} or attempt == _ATTEMPTS:
                break
            time.sleep(pause)
            pause *= 2
        if answer.status < 400:
            return answer
        told = answer.document if isinstance(answer.document, dict) else {}
        title = told.get("title") or told.get("message") or f"HTTP {answer.status}"
        raise Refused(answer.status, str(title), str(told.get("detail") or ""))

    def entries(self, run_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """The entries of a run's trail with numbers above `after`, over all pages."""
        where: int | None = after
        while where is not None:
            page = self.ask("GET", f"/runs/{run_id}/audit", query={"after": where})
            yield from page["entries"]
            where = page["next"]
