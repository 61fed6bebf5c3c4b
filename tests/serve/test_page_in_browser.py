"""The page in a headless Chromium: what is seen is what the run says, and titles of others do nothing."""

import urllib.parse

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

import chromium

pytestmark = pytest.mark.skipif(chromium.executable() is None, reason="no chromium on the PATH")

TITLES = "[...document.querySelectorAll('#items h3')].map((each) => each.textContent)"
READY = "document.querySelector('#items').getAttribute('aria-busy') === 'false'"
SEEN = "[...document.images].filter((image) => image.getBoundingClientRect().top < innerHeight)"  # others load later
SETTLED = f"{SEEN}.every((image) => image.complete)"


@pytest.fixture(scope="module")
def browser():
    with chromium.opened() as page:
        yield page


@pytest.fixture
def page(browser):
    """The tab, which at the end must have complained of nothing and asked nobody but the server."""
    browser.size(1400, 900)
    browser.errors.clear()
    browser.addresses.clear()
    yield browser
    assert browser.errors == []
    asked = {urllib.parse.urlsplit(address).netloc for address in browser.addresses if address != "about:blank"}
    assert asked and all(place.startswith("127.0.0.1:") for place in asked)


def visit(page, client, user):
    page.open(f"{client.url}#{urllib.parse.urlencode({'user': user})}")
    page.wait("document.readyState === 'complete' && document.querySelectorAll('#items > li').length")
    page.wait(f"{READY} && {SETTLED}")


def names_of(page, which):
    return page.value(f"[...document.querySelectorAll('#{which} li > span')].map((each) => each.textContent)")


def text_of(page, selector):
    return page.value(f"document.querySelector('{selector}').innerText")


def seen_as(title):
    return title.replace("\u202e", "\\u202e").replace("\x07", "\\x07")


def test_a_user_sees_history_friends_items_and_reasons(page, clients):
    client = clients["club"]
    visit(page, client, "Cleo 1")
    ranked = client.run.recommend("Cleo 1")[0]
    assert page.value(TITLES) == [seen_as(each.title) for each in ranked]
    scores = page.value("[...document.querySelectorAll('#items .score')].map((each) => each.textContent)")
    assert scores == [f"{each.score:.2f}".replace("-", "\u2212") for each in ranked]
    profile = client.get("api/profile", user="Cleo 1")[1]
    assert names_of(page, "history") == [f"{seen_as(each['title'])} {each['id']}" for each in profile["history"]]
    assert names_of(page, "friends") == [each["id"] for each in profile["friends"]]
    assert text_of(page, "#answer-title") == "Recommended to user Cleo 1" and page.value(
        "document.querySelector('#mode').hidden"
    )
    assert text_of(page, "#banner") == text_of(page, "#banner-again") == client.get("api/run")[1]["banner"]
    (why,) = client.run.explain("Cleo 1", ranked[0].item)
    lines = page.value(
        "[...document.querySelectorAll('#items > li:first-child > .reasons li')].map((e) => e.innerText)"
    )
    expected = [f"{why.labels[name]} {value:+.2f}".replace("-", "\u2212") for name, value in why.parts.items()]
    assert [" ".join(line.split()) for line in lines] == expected
    widths = page.value(
        "[...document.querySelectorAll('#items > li:first-child .parts span')].map((e) => parseFloat(e.style.width))"
    )
    whole = sum(map(abs, why.parts.values()))
    assert widths == pytest.approx([100 * abs(value) / whole for value in why.parts.values()], abs=0.01)
    page.value("document.querySelector('#items details').open = true")
    inside = text_of(page, "#items details")
    for name in ("history", "friends_1"):
        best = why.elements[name][0]
        assert seen_as(best.title) in inside and f"{best.contribution:+.2f}".replace("-", "\u2212") in inside


def test_changes_of_history_and_friends_are_answered_for_somebody_new_and_said_to_be(page, clients):
    client = clients["club"]
    visit(page, client, "Cleo 1")
    before = page.value(TITLES)
    profile = client.get("api/profile", user="Cleo 1")[1]
    items, friends = ([each["id"] for each in profile[which]] for which in ("history", "friends"))
    page.value("document.querySelector('#history button').click()")
    page.wait(f"document.querySelector('#mode').hidden === false && {READY}")
    page.value("document.querySelector('#friends button').click()")
    page.wait(f"document.querySelector('#mode').innerText.includes('5 friends') && {READY}")
    ranked = client.run.recommend_new(items[1:], friends[1:])
    page.wait(f"{TITLES}.join() === {[seen_as(each.title) for each in ranked]}.join()")
    assert text_of(page, "#answer-title") == "For a new user with this history"
    said = text_of(page, "#mode")
    assert f"for a new user with {len(items) - 1} items and {len(friends) - 1} friends" in said
    assert "not been trained on" in said and "not what user Cleo 1 would get" in said
    unchanged = [each.item for each in client.run.recommend_new(items, friends)]
    moves = page.value("[...document.querySelectorAll('#items .head')].map((e) => e.lastElementChild.innerText)")
    for place, (move, each) in enumerate(zip(moves, ranked)):
        was = unchanged.index(each.item) if each.item in unchanged else None
        expected = "new in the list" if was is None else "as before" if was == place else f", was {was + 1}"
        assert move.endswith(expected)
    assert page.value("document.activeElement.tagName") == "BODY" or page.value(
        "document.activeElement.getAttribute('aria-label')"
    ).startswith("Remove ")
    page.value("document.querySelector('#reset').click()")
    page.wait(f"document.querySelector('#mode').hidden && {READY}")
    assert page.value(TITLES) == before and len(names_of(page, "history")) == len(items)


def test_everything_is_done_by_keyboard(page, clients):
    client = clients["club"]
    visit(page, client, "Ada 1")
    page.value("document.querySelector('#user').focus()")
    page.wait("document.querySelector('#user').getAttribute('aria-expanded') === 'true'")
    page.type("gül")
    page.wait("document.querySelectorAll('#user-options li').length === 4")
    page.press("ArrowDown")
    chosen = page.value(
        "document.getElementById(document.querySelector('#user').getAttribute('aria-activedescendant')).innerText"
    )
    assert chosen == "Gül 2"
    page.press("Enter")
    page.wait(f"document.querySelector('#answer-title').innerText === 'Recommended to user Gül 2' && {READY}")
    assert page.value("location.hash") == "#user=G%C3%BCl+2"
    page.press("Tab")
    assert page.value("document.activeElement.id") == "add-item"
    page.wait("document.querySelectorAll('#add-item-options li').length > 4")
    page.type("blue sea no. 2")
    page.wait("document.querySelectorAll('#add-item-options li').length === 1")
    page.press("Enter")
    page.wait(f"!document.querySelector('#mode').hidden && {READY}")
    assert names_of(page, "history")[0] == "Blue sea no. 2 p07"
    page.press("Escape")
    assert page.value("document.querySelector('#add-item').getAttribute('aria-expanded')") == "false"
    # Every control has a name, every picture says what it shows, and something has the focus.
    nameless = page.value(
        "[...document.querySelectorAll('input, select, button')].filter((each) => !each.hidden &&"
        " !(each.ariaLabel || each.labels?.length || each.innerText)).map((each) => each.outerHTML)"
    )
    assert nameless == []
    assert page.value("[...document.images].every((image) => image.alt)")


def test_titles_of_others_stay_text(page, clients):
    client = clients["club"]
    visit(page, client, "Ada 1")
    page.value(
        "document.querySelector('#k').value = '50'; document.querySelector('#k').dispatchEvent(new Event('change'))"
    )
    page.value("document.querySelector('#seen').click()")
    page.wait(f"document.querySelectorAll('#items > li').length === 40 && {READY}")
    titles = page.value(TITLES)
    assert "<img src=x onerror=alert(1)>" in titles
    assert "\\u202eevil\\x07 <script>alert(2)</script>" in titles
    scripts = page.value("[...document.querySelectorAll('script')].map((each) => each.getAttribute('src'))")
    assert scripts == ["page.js"] and page.value("document.querySelectorAll('img[onerror]').length") == 0
    page.value("document.querySelector('#add-item').focus()")
    page.type("<img")
    page.wait("document.querySelectorAll('#add-item-options li').length === 1")
    assert text_of(page, "#add-item-options li") == "<img src=x onerror=alert(1)> p01"


def test_key_frames_are_shown_to_the_user_who_likes_them(page, clients):
    client = clients["frames"]
    visit(page, client, "Cleo 1")
    page.wait("document.querySelectorAll('figcaption:not(:empty)').length === 10")
    item = client.run.recommend("Cleo 1", 1)[0][0].item
    best = client.run.key_frames("Cleo 1", item)[0]
    assert text_of(page, "figcaption") == f"key frame of this user: {best.title}"
    assert page.value("document.querySelector('figure img').getAttribute('src')").endswith(f"frame={best.item}")
    page.wait("document.querySelector('figure img').naturalWidth === 120")
    assert page.value("document.querySelectorAll('#history button, #add-item').length") == 0
    assert text_of(page, "#fixed") == "JIFR cannot take in a new user without training, so the history is only shown."


def test_similar_items_are_shown_when_asked_for(page, clients):
    client = clients["plain"]
    visit(page, client, "3")
    page.value("document.querySelector('#items li:first-child details').open = true")
    page.wait("document.querySelectorAll('#items li:first-child details li').length === 5")
    item = client.run.recommend(3, 1)[0][0].item
    got = page.value(
        "[...document.querySelectorAll('#items li:first-child details li span:first-child')].map((e) => e.innerText)"
    )
    assert len(got) == 5 and page.value("document.querySelector('#friends-panel').hidden")
    assert got[0].split("\\")[0] == client.run.similar_items(item, 1)[0].title.split("\x9d")[0]


@pytest.mark.parametrize("width", (1400, 820, 400))
def test_the_page_fits_the_window(page, clients, width):
    page.size(width, 900)
    visit(page, clients["club"], "Cleo 1")
    assert page.value("document.documentElement.scrollWidth") <= width
    edge = lambda selector, side: page.value(f"document.querySelector('{selector}').getBoundingClientRect().{side}")  # noqa: E731
    beside = edge("aside", "right") <= edge("#answer", "left")
    assert beside == (width > 820)


def test_the_description_needs_no_script_and_nobody_else(page, clients):
    page.open(f"{clients['club'].url}docs")
    page.wait("document.querySelectorAll('section').length > 10")
    assert page.value("document.querySelectorAll('script').length") == 0
    assert "GET /api/recommend" in text_of(page, "body")


def test_an_unknown_user_is_said_on_the_page(browser, clients):
    client = clients["cafes"]
    browser.errors.clear()
    browser.open(f"{client.url}#user=bob")
    browser.wait("document.querySelector('#problem') && !document.querySelector('#problem').hidden")
    assert "no user 'bob'; its 24 users are called guest0" in text_of(browser, "#problem")
    assert all("404" in error for error in browser.errors), "the browser's own line"
