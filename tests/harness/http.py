"""A small HTTP client that keeps cookies and does not raise for 4xx responses."""

import http.cookiejar
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Response:
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)


def unverified_tls() -> ssl.SSLContext:
    """Return a client context that accepts self-signed certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class HttpClient:
    """`base`: prefix of every path. `token`: sent as Bearer. Certificates are not verified."""

    def __init__(self, base: str, *, token: str = "") -> None:
        self.base = base.rstrip("/")
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self.cookies),
            urllib.request.HTTPSHandler(context=unverified_tls()),
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        json_body: object = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> Response:
        """Follow redirects. Raises: OSError: no response."""
        sent = {**self.headers, **(headers or {})}
        if json_body is not None:
            data = json.dumps(json_body).encode()
            sent["Content-Type"] = "application/json"
        elif form is not None:
            data = urllib.parse.urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        request = urllib.request.Request(self.base + path, data=data, headers=sent, method=method)
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                return _response(answer.status, answer)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return _response(refusal.code, refusal)

    def get(self, path: str, **options: Any) -> Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Response:
        return self.request("POST", path, **options)

    def cookie(self, name: str) -> str:
        """Return the cookie, or an empty string."""
        return next((cookie.value or "" for cookie in self.cookies if cookie.name == name), "")

    def cookie_pairs(self) -> list[tuple[str, str]]:
        return [(cookie.name, cookie.value or "") for cookie in self.cookies]

    @property
    def cookie_header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookie_pairs())


def _response(status: int, answer: Any) -> Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(status, headers, answer.read(), answer.geturl())
