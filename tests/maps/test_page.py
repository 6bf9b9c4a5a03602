"""The page of a map: self-contained, escaped, and in a browser it shows the image under the pointer."""

import base64
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from hashlib import sha256
from html import unescape

import numpy as np
import pytest
import torch
from markupsafe import escape
from PIL import Image

from simulacra.maps.coloring import Coloring
from simulacra.maps.latent_map import latent_map
from simulacra.maps.page import map_page
from simulacra.maps.sprites import sprite_sheet

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NASTY = ('</script><script>alert("x")</script>', "<img src=x onerror=alert(1)>", "a,\"b\" & 'c'")


@pytest.fixture(scope="module")
def found(trained_vae):
    return latent_map(trained_vae, ("pca",), 60, seed=1)


@pytest.fixture(scope="module")
def images(trained_vae, found):
    return trained_vae.dataset.test.batch(found.indices).images


@pytest.fixture(scope="module")
def page(found, images):
    """A map in three categories with hostile names."""
    values = np.arange(60) % 3
    coloring = Coloring(NASTY[1], tuple(NASTY[value] for value in values), NASTY, values)
    return map_page(NASTY[0], replace(found, classes=values), coloring, images, NASTY)


def sprites(page):
    (content,) = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.fixture
def shown(page, tmp_path):
    """Return the page as Chromium shows it at an address, with sizes of the window."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    (tmp_path / "map.html").write_text(page, encoding="utf-8")

    def dump(address, width=900):
        words = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=3000",
            f"--window-size={width},900",
        ]
        words += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"{(tmp_path / 'map.html').as_uri()}#{address}"]
        return subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout

    return dump


def test_the_sheet_holds_every_image_in_reading_order():
    images = torch.arange(7 * 3 * 4 * 5).reshape(7, 3, 4, 5) / 419
    sheet = sprite_sheet(images)
    assert (sheet.columns, sheet.width, sheet.height, sheet.image.size) == (3, 5, 4, (15, 12))
    cells = np.asarray(sheet.image)
    for number, image in enumerate(images):
        top, left = number // 3 * 4, number % 3 * 5
        expected = (image * 255).round().permute(1, 2, 0).numpy()
        assert np.array_equal(cells[top : top + 4, left : left + 5], expected)


@pytest.mark.parametrize(("count", "shape"), [(5, (1, 200, 100)), (20_000, (1, 28, 28)), (3, (5, 9, 9)), (3, (4, 1, 2))])
def test_the_sheet_of_any_images_is_bounded(count, shape):
    sheet = sprite_sheet(torch.zeros(1, *shape).expand(count, *shape))
    columns, rows = sheet.image.width // sheet.width, sheet.image.height // sheet.height
    assert columns * rows >= count
    assert sheet.image.width * sheet.image.height <= 1.1 * 2**22
    assert max(sheet.width, sheet.height) <= 64


def test_the_page_refers_to_nothing_outside(page):
    assert "://" not in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert page.count("base64,") == 1
    assert "default-src 'none'" in page


def test_the_policy_allows_the_script_of_the_page_alone(page):
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert [attributes for attributes, _ in scripts] == [' id="data" type="application/json"', ""]
    digest = base64.b64encode(sha256(scripts[1][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_texts_from_data_are_escaped_and_read_back(page, found):
    for text in NASTY[:2]:
        assert text not in page
    assert f"<h1>{escape(NASTY[0])}</h1>" in page
    (content,) = re.findall(r'type="application/json">(.*?)</script>', page, re.DOTALL)
    data = json.loads(content)
    assert [item["name"] for item in data["categories"]] == list(NASTY)
    assert data["indices"] == found.indices.tolist()
    assert data["texts"][2] == NASTY[2]
    points = np.array(data["maps"][0]["points"])
    assert points.min() >= 0
    assert points.max() <= 1


def test_the_page_states_its_measurements(page, found):
    (_, measured), *_ = found.maps
    assert f"<td>{measured.trustworthiness:.3f}</td>" in page
    assert f"<td>{found.latent_accuracy:.3f}</td>" in page


@pytest.mark.long
def test_a_browser_shows_the_image_under_the_pointer(shown, page, found, images):
    number = int(found.indices[37])
    document = shown(f"hover={number}")
    assert f'data-shown="{number}"' in document
    assert f"image {number}\nclass {NASTY[37 % 3]}" in unescape(document)
    (style,) = re.findall(r'id="thumb"[^>]*style="([^"]*)"', document)
    width, height = (int(re.findall(rf"{edge}: (\d+)px", style)[0]) for edge in ("width", "height"))
    left, top = map(int, re.findall(r"background-position: (-?\d+)px (-?\d+)px", style)[0])
    (across, _), sheet = re.findall(r"background-size: (\d+)px (\d+)px", style)[0], sprites(page)
    enlargement = int(across) // sheet.shape[1]
    left, top, width, height = (abs(edge) // enlargement for edge in (left, top, width, height))
    expected = (images[37, 0] * 255).round().numpy()
    assert np.array_equal(sheet[top : top + height, left : left + width], expected)


@pytest.mark.long
def test_a_browser_hides_classes_and_lists_what_the_lasso_encloses(shown, found):
    document = unescape(shown("hide=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&lasso=0,0,1,1", width=400))
    assert len(re.findall(r'<button type="button" aria-pressed="false"', document)) == 1
    assert "40 of 60 images are selected" in document
    (listed,) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", document, re.DOTALL)
    rows = listed.split("\n")
    assert rows[0] == f"index,{NASTY[1]}"
    assert [int(row.split(",")[0]) for row in rows[1:]] == found.indices[np.arange(60) % 3 != 1].tolist()
    assert rows[2].endswith(',"a,""b"" & \'c\'"')


@pytest.mark.long
def test_a_browser_runs_no_script_from_data(shown):
    document = shown("")
    assert "<script>alert" not in document
    assert "onerror" not in re.sub(r"&lt;.*?&gt;|\\u003c.*?\\u003e", "", document)
