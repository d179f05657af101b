"""Accounts of the running product: `ninjacam serve` with two workers, and attackers that guess passwords."""

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ninjacam.actions.sign_in import FAILURES_PER_ACCOUNT
from tests.harness.fair_clock import fair_s
from tests.harness.http import HttpClient, Response
from tests.harness.server import ADMIN, PASSWORD, Product

LIMIT = FAILURES_PER_ACCOUNT
ORIGIN = "https://cam.example.org"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    data = tmp_path_factory.mktemp("accounts") / "data"
    with Product(
        data, workers=2, environment={"NINJACAM_ORIGINS": ORIGIN, "NINJACAM_LOG": "INFO"}
    ) as product:
        yield product


def log_in(
    product: Product,
    name: str,
    password: str,
    address: str,
    *,
    client: HttpClient | None = None,
    path: str = "/login/",
) -> Response:
    """Log in from `address`, as reported by a proxy on this host."""
    client = client or HttpClient(product.base)
    headers = {"X-Forwarded-For": address, "Referer": product.base + path}
    page = client.get(path, headers=headers)
    hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert hidden, page.text
    form = {"username": name, "password": password, "csrfmiddlewaretoken": hidden[1], "next": "/account/"}
    return client.post(path, form=form, headers=headers, timeout_s=60)


def audit_lines(product: Product) -> list[dict[str, str]]:
    """Return the product's audit log so far."""
    found = re.findall(r"ninjacam\.audit: (\{.*\})", product.output)
    return [json.loads(line) for line in found]


def test_many_workers_reject_guesses_together_and_let_the_owner_in(product: Product) -> None:
    known = HttpClient(product.base)
    assert log_in(product, ADMIN, PASSWORD, "198.51.100.7", client=known).url.endswith("/account/")
    with ThreadPoolExecutor(4) as attackers:
        answers = list(
            attackers.map(
                lambda n: log_in(product, ADMIN, f"guess {n}", f"203.0.113.{n}").status, range(3 * LIMIT)
            )
        )
    # Some were refused while others were being checked. These are not failures and do not count.
    assert set(answers) <= {200, 429} and 1 <= answers.count(200) <= LIMIT
    while log_in(product, ADMIN, "guess", "203.0.113.200").status == 200:
        pass
    assert log_in(product, ADMIN, PASSWORD, "203.0.113.201").status == 429, (
        "the right password, from anywhere"
    )
    assert log_in(product, ADMIN, PASSWORD, "203.0.113.202", path="/admin/login/").url.endswith(
        "/admin/login/"
    )
    owner = HttpClient(product.base)
    for cookie in known.cookies:
        if cookie.name == "ninjacam_known":
            owner.cookies.set_cookie(cookie)
    assert log_in(product, ADMIN, PASSWORD, "203.0.113.203", client=owner).url.endswith("/account/")
    assert log_in(product, ADMIN, PASSWORD, "198.51.100.7").url.endswith("/account/"), "a known network"
    entries = audit_lines(product)
    assert {"login", "login.failed", "login.throttled"} <= {entry["verb"] for entry in entries}
    assert "guess" not in product.output and PASSWORD not in product.output


def test_a_flood_of_logins_does_not_slow_the_server_down(product: Product) -> None:
    """Each guess names another account, so only the cost of checking passwords limits the attackers."""
    over, sent = threading.Event(), [0] * 8

    def flood(number: int) -> None:
        while not over.is_set():
            log_in(product, f"user-{number}-{sent[number]}", "guess", f"192.0.2.{sent[number] % 250}")
            sent[number] += 1

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(len(sent))]
    for thread in threads:
        thread.start()
    try:
        times: list[float] = []
        end = fair_s() + 60
        while sum(sent) < 40 and fair_s() < end:
            begun = fair_s()
            assert HttpClient(product.base).get("/healthz").status == 200
            times.append(fair_s() - begun)
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    assert sum(sent) >= 40
    # Attackers and server share these cores. benchmarks/attacks.py measures the figures.
    assert sorted(times)[len(times) // 2] < 0.5


def test_cookies_are_secure_behind_the_https_origin_and_plain_http_still_works(product: Product) -> None:
    def cookies(headers: dict[str, str]) -> list[str]:
        page = HttpClient(product.base).get("/login/", headers=headers)
        assert page.status == 200
        return [page.headers["set-cookie"], page.headers.get("strict-transport-security", "")]

    cookie, hsts = cookies({"Host": "cam.example.org", "X-Forwarded-Proto": "https"})
    assert "; Secure" in cookie and hsts == "max-age=31536000"
    cookie, hsts = cookies({})
    assert "Secure" not in cookie and not hsts
    assert log_in(product, ADMIN, PASSWORD, "198.51.100.7").url.endswith("/account/")


def test_changes_in_the_admin_and_on_the_command_line_are_audited(product: Product) -> None:
    client = HttpClient(product.base)
    assert log_in(product, ADMIN, PASSWORD, "198.51.100.7", client=client).url.endswith("/account/")
    page = client.get("/admin/auth/user/add/")
    hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert hidden
    form = {
        "csrfmiddlewaretoken": hidden[1], "username": "eve", "usable_password": "true",
        "password1": "a long password of eve", "password2": "a long password of eve",
    }  # fmt: skip
    answer = client.post("/admin/auth/user/add/", form=form, headers={"Referer": product.base})
    assert answer.status == 200 and "/change/" in answer.url, answer.text
    made = [entry for entry in audit_lines(product) if entry["verb"] == "user.create"]
    assert [(entry["subject"], entry["by"]) for entry in made] == [("eve", f"{ADMIN} (session)")]
    given = ("createuser", "mallory", "--admin", "--password-stdin")
    printed = product.cli(*given, stdin="a long password of m\n", check=False)
    lines = [json.loads(line) for line in re.findall(r"ninjacam\.audit: (\{.*\})", printed)]
    assert [(entry["subject"], entry["verb"].partition(".")[0]) for entry in lines] == [("mallory", "user")]
    assert "a long password" not in product.output + printed
