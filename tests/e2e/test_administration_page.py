"""The area for administrators in Chromium: both languages, a phone, a viewer, and two requests at once."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.http import HttpClient
from tests.harness.server import ADMIN, Product

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
]
AREA = "/administration/"
PAGES = (
    "users/",
    "users/new/",
    "groups/",
    "access/",
    "sessions/",
    "audit/",
    "storage/",
    "system/",
    "settings/",
    "about/",
)
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
SECOND = "a-long-passphrase-7"
NAMELESS = """[...document.querySelectorAll('input:not([type=hidden]), select, button, a, meter')].filter(each =>
  !each.labels?.length && !each.getAttribute('aria-label') && !each.textContent.trim() && !each.value).length"""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("administration"), workers=2) as product:
        product.add_camera("door", "rtsp://127.0.0.1:9/x")
        product.add_camera("yard", "rtsp://127.0.0.1:9/y")
        yield product


@pytest.fixture
def tab(chromium: Browser, product: Product) -> Iterator[Tab]:
    with chromium.tab() as tab:
        product.sign_in(tab)
        yield tab
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line]


def open_page(tab: Tab, product: Product, page: str) -> None:
    """Open a page and wait for its styles."""
    tab.navigate(product.url(AREA + page))
    tab.until("document.readyState === 'complete'")


def send(client: HttpClient, path: str, **fields: str) -> Any:
    """Send a form of a page."""
    token = TOKEN.search(client.get(path).text)
    assert token
    form = {"csrfmiddlewaretoken": token[1], **fields}
    return client.post(path, form=form, headers={"Referer": client.base + path})


def path_of_user(client: HttpClient, name: str) -> str:
    found = re.search(rf'href="({AREA}users/[0-9]+/)">{name}<', client.get(f"{AREA}users/?q={name}").text)
    assert found
    return found[1]


def test_an_administrator_adds_a_viewer_who_sees_one_camera_and_not_this_area(
    product: Product, tab: Tab
) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)  # Forms need no scripts.
    tab.navigate(product.url(f"{AREA}users/new/"))
    tab.js("document.querySelector('[name=username]').value = 'guard'")
    tab.js(f"document.querySelector('[name=password]').value = '{SECOND}'")
    tab.js("document.querySelector('button[value=save]').click()")
    tab.until(f"location.pathname === '{AREA}users/' && document.readyState === 'complete'")
    tab.navigate(product.url(f"{AREA}access/?camera=door&q=guard"))
    tab.js("document.querySelector('[aria-label=\"guard: view\"]').click()")
    tab.js("document.querySelector('form[method=post]:not(.logout) button').click()")
    tab.until("document.querySelector('[aria-label=\"guard: view\"]')?.defaultChecked === true")
    assert "this camera" in tab.js("document.querySelector('td.may').textContent")

    guard = product.login("guard", SECOND)
    assert [each["slug"] for each in guard.get("/api/v1/cameras").json()["items"]] == ["door"]
    assert AREA not in guard.get("/").text
    for page in PAGES:
        answer = guard.get(AREA + page)
        assert answer.status == 403 and "yard" not in answer.text and ADMIN not in answer.text

    # Deactivation ends the session.
    boss = product.login()
    user = path_of_user(boss, "guard")
    assert "guard" in boss.get(f"{AREA}sessions/").text
    assert send(boss, user, do="save", username="guard").status == 200
    assert guard.get("/api/v1/me").status == 401
    text = boss.get(f"{AREA}audit/?user=guard").text
    assert "user.update" in text and "user.create" in text and SECOND not in text


def test_one_of_two_administrators_who_remove_each_other_at_once_remains(product: Product) -> None:
    boss = product.login()
    clients = {}
    for name in ("ada", "eve"):
        fields = {"username": name, "password": SECOND, "is_active": "on", "is_superuser": "on"}
        assert send(boss, f"{AREA}users/new/", do="save", **fields).status == 200
        clients[name] = product.login(name, SECOND)
    barrier, statuses = threading.Barrier(2), []

    def remove(client: HttpClient, name: str) -> None:
        path = path_of_user(client, name)
        token = TOKEN.search(client.get(path).text)
        assert token
        form = {"csrfmiddlewaretoken": token[1], "do": "save", "username": name, "is_active": "on"}
        barrier.wait(10)
        statuses.append(client.post(path, form=form, headers={"Referer": client.base + path}).status)

    pairs = ((clients["ada"], "eve"), (clients["eve"], "ada"))
    threads = [threading.Thread(target=remove, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # The second one acts as a user who is not an administrator any more.
    assert sorted(statuses) == [200, 403]
    assert sorted(client.get(f"{AREA}users/").status for client in clients.values()) == [200, 403]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_pages_fit_a_phone_and_name_their_controls(product: Product, tab: Tab, language: str) -> None:
    tab.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": language})
    tab.size(390, 844, phone=True)
    for page in PAGES:
        open_page(tab, product, page)
        assert tab.js("document.documentElement.lang") == language
        assert tab.js("document.documentElement.scrollWidth") <= 390, page
        assert tab.js(NAMELESS) == 0, page
        assert tab.js("document.querySelectorAll('h1').length") == 1
        assert tab.js("document.querySelectorAll('.areas [aria-current=page]').length") == 1
        if language == "ko":
            assert re.search(
                "[가-힣]", tab.js("document.querySelector('h1').textContent") + "가" * (page == "about/")
            )


def test_pages_have_enough_contrast_in_both_themes(product: Product, tab: Tab) -> None:
    """The colors of the heat map and of permitted cells are mixed, so they are measured as they are drawn."""
    for theme in ("light", "dark"):
        tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        for page in ("access/", "storage/"):
            open_page(tab, product, page)
            assert tab.js(CONTRAST) >= 4.5, (theme, page)


CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (color, below) => {
    canvas.fillStyle = below ?? '#fff'; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (color) => color.map(part => part / 255)
    .map(part => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [.2126, .7152, .0722][place], 0);
  const paper = getComputedStyle(document.querySelector('.card')).backgroundColor;
  const levels = [1, 2, 3, 4].map(level => `<td class="level-${level}">1</td>`).join('');
  const row = `<tr>${levels}<td class="may"><small>x</small></td></tr>`;
  document.querySelector('tbody').insertAdjacentHTML('beforeend', row);
  document.querySelector('table').classList.add('heat', 'matrix');
  return Math.min(...[...document.querySelectorAll('tr:last-child td')].map(cell => {
    const text = cell.querySelector('small') ?? cell;
    const [one, other] = [light(rgb(getComputedStyle(cell).backgroundColor, paper)),
      light(rgb(getComputedStyle(text).color, paper))].sort((a, b) => b - a);
    return (one + .05) / (other + .05);
  }));
})()"""
