"""The documentation site: no warnings, no dead links, nothing from the network; search and mathematics in a browser."""

import runpy

import pytest
from tests.site.conftest import ROOT

import simulacra
from simulacra import families
from simulacra.interfaces import cli

pytestmark = pytest.mark.docs
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
WIDE_PAGES = (
    "index",
    "families/vae",
    "reference/results",
    "reference/api/model",
    "reference/commands/train-vae",
    "explanation/architecture",
)


@pytest.fixture
def text(site):
    return lambda page: (site / f"{page}.html").read_text()


def open_page(browser, address, page):
    browser.get(f"{address}/{page}")


def wait(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30).until(condition)


def found(browser, selector):
    from selenium.webdriver.common.by import By

    return browser.find_elements(By.CSS_SELECTOR, selector)


def test_no_link_is_dead_and_nothing_is_loaded_from_the_network(site):
    problems = runpy.run_path(str(ROOT / "docs" / "check_site.py"))["problems"]
    assert list(problems(site)) == []


def test_every_command_and_family_has_a_page_of_its_flags(text):
    for name in cli.names():
        assert "--json" in text(f"reference/commands/{name}")
    for name in families.names():
        assert "--latent-dim" in text("reference/commands/train-vae")
        assert f"simulacra train {name}" in text(f"reference/commands/train-{name}") or name in text(
            f"reference/commands/train-{name}"
        )


def test_flags_have_their_range_and_default(text):
    page = text("reference/commands/train-vae")
    row = page[page.index("--beta1") :].split("</tr>")[0]
    assert "in [0, 1]" in row
    assert "0.9" in row


def test_every_public_name_has_an_entry(text):
    pages = "".join(text(f"reference/api/{page}") for page in ("functions", "model", "data", "randomness"))
    for name in simulacra.__all__:
        assert f'.{name}"' in pages, name


def test_backticks_of_docstrings_are_code(text):
    for page in ("functions", "model", "capabilities", "family"):
        body = text(f"reference/api/{page}").split("<article")[1].split("</article>")[0]
        assert "`" not in body, page


def test_the_search_finds_a_page_whose_hit_opens(browser, address):
    open_page(browser, address, "search.html?q=reparameterization")
    wait(browser, lambda b: found(b, "#search-results li a"))
    wait(browser, lambda b: "Search finished" in b.page_source or "finished" in found(b, "#search-results")[0].text)
    hits = {hit.get_attribute("href").split("?")[0].split("#")[0]: hit for hit in found(browser, "#search-results li a")}
    vae = f"{address}/families/vae.html"
    assert vae in hits
    hits[vae].click()
    wait(browser, lambda b: b.current_url.startswith(vae))
    assert "reparameterization" in browser.page_source


def test_the_search_works_on_a_page_that_is_opened_as_a_file(browser, site):
    browser.get(f"{(site / 'search.html').as_uri()}?q=reparameterization")
    wait(browser, lambda b: any("families/vae.html" in hit.get_attribute("href") for hit in found(b, "#search-results li a")))


def test_mathematics_is_rendered_in_the_font_of_the_site(browser, address):
    open_page(browser, address, "families/vae.html")
    assert len(found(browser, "math")) > 50
    wait(browser, lambda b: b.execute_script("return document.fonts.check('16px \"STIX Two Math\"')"))
    block = found(browser, "div.math math")[0]
    assert block.size["height"] > 20
    assert "$" not in found(browser, "article p")[3].text


def test_the_theme_switch_makes_the_page_dark(browser, address):
    open_page(browser, address, "index.html")
    background = "return getComputedStyle(document.body).backgroundColor"
    before = browser.execute_script(background)
    for _ in range(3):
        switch = next(button for button in found(browser, "button.theme-toggle") if button.is_displayed())
        switch.click()
        if browser.execute_script("return document.body.dataset.theme") == "dark":
            break
    assert browser.execute_script("return document.body.dataset.theme") == "dark"
    wait(browser, lambda b: b.execute_script(background) != before)
    browser.execute_script("localStorage.clear()")


@pytest.mark.parametrize("page", WIDE_PAGES)
def test_pages_fit_a_phone(browser, address, page):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        open_page(browser, address, f"{page}.html")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE["width"]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
