"""The cards of a quiz in a browser: answers, explanations, the score, and what is kept after a reload."""

import shutil

import pytest
from tests.quizzes.pages import PAGE

from simulacra.quizzes.reading import read_quiz

webdriver = pytest.importorskip("selenium.webdriver")
pytestmark = [
    pytest.mark.docs,
    pytest.mark.skipif(not (shutil.which("chromium") and shutil.which("chromedriver")), reason="needs Chromium and its driver"),
]


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, tmp_path):
    """Open a page with the quiz of PAGE, without answers of other tests."""
    (tmp_path / "test.toml").write_text(PAGE)
    cards = read_quiz(tmp_path / "test.toml")._repr_html_()
    (tmp_path / "quiz.html").write_text(f"<!doctype html><meta charset='utf-8'><title>Quiz</title>{cards}", "utf-8")
    browser.get((tmp_path / "quiz.html").as_uri())
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    return browser


def find(page, selector):
    return page.find_element("css selector", selector)


def card(page, name):
    return find(page, f'.sq-card[data-id="{name}"]')


def check(page, name):
    page.execute_script("arguments[0].click()", find(card(page, name), ".sq-check"))
    return find(card(page, name), ".sq-feedback").text


def choose(page, name, value):
    page.execute_script("arguments[0].click()", find(card(page, name), f'input[value="{value}"]'))
    return check(page, name)


def score(page):
    return find(page, ".sq-score").text


def order(page):
    return [step.get_attribute("data-place") for step in page.find_elements("css selector", ".sq-steps > li")]


def move_up(page, place):
    page.execute_script("arguments[0].click()", find(page, f'.sq-steps > li[data-place="{place}"] .sq-up'))


def test_a_right_choice_is_explained_and_counted(page):
    assert score(page) == "3 questions"
    assert choose(page, "one", 0).startswith("✓ Right.")
    assert "Because of the first reason." in card(page, "one").text
    assert "second mistake" not in card(page, "one").text
    assert score(page) == "1 right, 2 not answered yet"


def test_a_wrong_choice_is_explained_and_so_is_the_right_one(page):
    assert choose(page, "one", 1).startswith("✗ Not right.")
    assert "This is the second mistake." in card(page, "one").text
    assert "Because of the first reason." in card(page, "one").text
    assert "third mistake" not in card(page, "one").text
    assert "loss" in find(card(page, "one"), ".sq-section").text
    assert score(page) == "0 right, 2 not answered yet"


def test_without_an_answer_nothing_is_counted(page):
    assert check(page, "one") == "Choose one of the answers first."
    assert "decimal point" in check(page, "two")
    assert score(page) == "3 questions"


@pytest.mark.parametrize(
    ("written", "right", "explained"),
    [
        ("4.5", True, "Half of nine."),
        ("9/2 nats", True, "Half of nine."),
        ("4.6", True, "Half of nine."),
        ("4.7", False, "4.5 nats"),
        ("9", False, "The factor is missing."),
    ],
)
def test_numbers_are_graded_with_their_tolerance(page, written, right, explained):
    find(card(page, "two"), ".sq-field input").send_keys(written)
    feedback = check(page, "two")
    assert feedback.startswith("✓" if right else "✗")
    assert explained in feedback
    assert ("The factor is missing." in feedback) == (written == "9")


def test_the_steps_are_moved_by_buttons_that_keep_the_focus(page):
    assert order(page) != ["0", "1", "2"]
    for _ in range(2):
        move_up(page, 0)
    if order(page) != ["0", "1", "2"]:
        move_up(page, 1)
    assert order(page) == ["0", "1", "2"]
    focused = page.execute_script("return document.activeElement.closest('li').dataset.place")
    assert focused in ("0", "1")
    assert check(page, "three").startswith("✓ Right.")


def test_a_wrong_order_shows_the_right_one(page):
    feedback = check(page, "three")
    assert feedback.startswith("✗ Not right.")
    assert [line for line in feedback.splitlines() if line in ("Encode.", "Draw.", "Decode.")] == ["Encode.", "Draw.", "Decode."]


def test_the_score_is_kept_after_a_reload_until_the_quiz_is_started_again(page):
    choose(page, "one", 0)
    find(card(page, "two"), ".sq-field input").send_keys("9")
    check(page, "two")
    check(page, "three")
    assert score(page) == "Score: 1 of 3"
    page.refresh()
    assert score(page) == "Score: 1 of 3"
    assert "The factor is missing." in card(page, "two").text
    find(page, ".sq-again").click()
    assert score(page) == "3 questions"
    page.refresh()
    assert score(page) == "3 questions"
    assert "reason" not in card(page, "one").text


def test_a_refused_storage_does_not_stop_the_quiz(page):
    page.execute_cdp_cmd("Page.enable", {})
    refuse = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('refused', 'SecurityError'); } });"
    script = page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refuse})["identifier"]
    page.refresh()
    choose(page, "one", 0)
    assert score(page) == "1 right, 2 not answered yet"
    page.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": script})


def test_texts_are_escaped_and_nothing_is_reported_as_an_error(page):
    assert "Yes <b>bold</b>" in card(page, "one").text
    assert find(card(page, "one"), "math msup")
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE" and "favicon" not in entry["message"]] == []


def test_the_choices_are_reached_by_the_keyboard(page):
    keys = webdriver.Keys
    first = find(card(page, "one"), "input")
    first.send_keys(keys.SPACE)
    first.send_keys(keys.ENTER)
    assert find(card(page, "one"), ".sq-verdict").text
