"""The report is one self-contained file with the sections of a model's applications, also where a run lacks files."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import simulacra
from simulacra import applications
from simulacra.core.errors import DataError
from simulacra.core.progress import SILENT
from simulacra.interfaces.api import Model
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.reports.curves import plots
from simulacra.runs import run as run_module

ALWAYS = {"metrics", "curves", "training-progress", "settings", "provenance"}


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text):
        super().__init__()
        self.text = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def sections(self):
        return {attributes["id"] for attributes in self.all("section")}

    @property
    def prose(self):
        return " ".join(" ".join(self.words).split())


def page_of(model: Model) -> Page:
    return Page(model.report().read_text())


@pytest.fixture
def vae(trained_vae, tmp_path):
    """A copy of a trained VAE, whose folder may be changed."""
    return copied(trained_vae, tmp_path)


def copied(model: Model, folder) -> Model:
    shutil.copytree(model.run.path, folder / "run", ignore=shutil.ignore_patterns("evaluation"))
    return simulacra.open(folder / "run", dataset=model.dataset)


# --- one file


def test_the_page_refers_to_nothing_outside_of_itself(vae):
    vae.evaluate(particles=2, samples=0)
    page = page_of(vae)
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href") and value]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"https?://|file://|url\(|@import", page.text)
    assert not page.all("script")


def test_every_link_of_the_contents_leads_to_a_section(vae):
    page = page_of(vae)
    targets = {attributes["href"].removeprefix("#") for attributes in page.all("a")}
    assert targets == page.sections


def test_every_image_is_a_whole_png_with_its_size_and_a_description(vae):
    images = page_of(vae).all("img")
    assert len(images) > 10
    for attributes in images:
        content = base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,"), validate=True)
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            assert picture.size == (int(attributes["width"]), int(attributes["height"]))
        assert attributes["alt"]


def test_curves_are_well_formed_drawings(vae):
    drawings = re.findall(r"<svg viewBox=.*?</svg>\s*</svg>", page_of(vae).text, re.DOTALL)
    assert len(drawings) == 5
    for drawing in drawings:
        paths = [element.get("d") for element in ElementTree.fromstring(drawing).iter("path")]
        assert paths
        assert "nan" not in "".join(path or "" for path in paths)


@pytest.mark.long
def test_a_report_is_written_twice_alike_without_output(vae, capfd):
    first = vae.report().read_bytes()
    assert vae.report().read_bytes() == first
    assert not list(vae.run.path.glob("*.tmp"))
    assert not list(vae.run.path.glob(".*.tmp"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.long
def test_the_first_picture_comes_before_the_first_number(vae):
    vae.evaluate(particles=2, samples=0)
    page = page_of(vae)
    text = page.text.split("<body>")[1]
    assert text.index("<img") < text.index('class="facts"') < text.index('class="numbers"')
    assert "Compared with: the 297 test images of digits" in page.prose


# --- sections


def test_a_vae_has_every_section(vae):
    own = {"real-and-generated-images", "reconstructions", "interpolations", "latent-traversal", "latent-map"}
    assert page_of(vae).sections == ALWAYS | own | {"nearest-neighbours", "images-by-class"}


def test_a_model_that_does_not_sample_has_no_samples(trained_autoencoder, tmp_path):
    model = copied(trained_autoencoder, tmp_path)
    model.evaluate(particles=2, samples=0)
    page = page_of(model)
    assert page.sections == ALWAYS | {"reconstructions", "interpolations", "latent-traversal", "latent-map"}
    assert "not measured: this family has no likelihood" in page.prose


def test_a_gan_has_samples_and_interpolations_between_noise(tmp_path):
    quick: dict[str, Any] = {"duration": "3", "batch": 32, "threads": 1, "snapshots": 1, "hidden": (16,)}
    page = page_of(simulacra.train("gan", data="digits", out=tmp_path / "gan", **quick))
    sections = {"real-and-generated-images", "interpolations", "nearest-neighbours", "images-by-class"}
    assert page.sections == ALWAYS | sections
    assert "6 interpolations between generated images" in page.text


def test_as_many_real_as_generated_images_are_displayed(vae):
    draw = applications.find("sample").section
    assert draw
    section = draw(vae)
    assert section
    (real, generated), *_ = section.rows
    assert real.image
    assert generated.image
    assert real.image.size == generated.image.size


@pytest.mark.long
@pytest.mark.parametrize("shape", [(97, 64, 3), (5, 40, 3), pytest.param((130, 130, 1), marks=pytest.mark.slow)])
def test_images_of_any_size_are_shown(shape, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, *shape), dtype=np.uint8)
    settings: dict[str, Any] = {"duration": "2", "batch": 16, "features": (4, 4), "hidden": (8,), "latent_dim": 3, "threads": 1}
    model = simulacra.train("vae", dataset=simulacra.from_array(images), out=tmp_path / "run", **settings)
    page = page_of(model)
    assert f"{shape[0]} \N{MULTIPLICATION SIGN} {shape[1]}" in page.prose
    assert all(int(attributes["width"]) <= 1200 for attributes in page.all("img"))


# --- facts


def test_metrics_have_their_error_their_count_and_their_protocol(vae):
    result = vae.evaluate(particles=3, samples=0)["metrics"]["nll_nats"]
    prose = page_of(vae).prose
    assert f"{Measurement.of(result).text} \N{EM DASH} {result['n']} target" in prose
    assert "importance samples: 3" in prose


def test_a_run_without_evaluation_names_the_command(vae):
    assert f"simulacra evaluate {vae.run.path}" in page_of(vae).prose


@pytest.mark.long
def test_metrics_of_an_earlier_checkpoint_are_marked(vae):
    vae.evaluate(particles=2, samples=0)
    vae.step += 100
    assert "The run has been trained further" in page_of(vae).prose


@pytest.mark.long
def test_an_interrupted_run_names_the_command_that_continues_it(vae):
    assert "finished at step" in page_of(vae).prose
    vae.run.update_provenance(finished=False)
    assert f"Continue with simulacra resume {vae.run.path}" in page_of(vae).prose


@pytest.mark.long
def test_settings_that_differ_from_the_default_are_marked(vae):
    marked = re.findall(r'<tr class="marked"><th scope="row">([^<]*)</th><td>([^<]*)</td>', page_of(vae).text)
    assert ("latent dim", "4") in marked
    assert ("features", "8, 16") in marked
    assert "seed" not in dict(marked)


def test_hostile_names_are_shown_as_text(vae):
    attack = "</style><script>alert('1')</script><img src=x onerror=alert(2)>"
    provenance = vae.run.provenance
    provenance["data"] |= {"name": attack, "classes": [attack, "&amp;", '"quoted"']}
    provenance["command"] = attack
    vae.run.update_provenance()
    vae.run.reports.append({"kind": "train", "step": 5, f"player/{attack}": 1.0})
    page = page_of(simulacra.open(vae.run.path, dataset=vae.dataset))
    assert not page.all("script")
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.prose.count("<script>alert('1')</script>") > 3


# --- what a run may lack


@pytest.mark.long
def test_a_run_without_reports_and_snapshots_is_described_all_the_same(vae):
    vae.run.reports.path.unlink()
    shutil.rmtree(vae.run.samples)
    shutil.rmtree(vae.run.path / "reconstructions")
    prose = page_of(vae).prose
    assert "There are no reports of losses" in prose
    assert prose.count("There are no snapshots") == 2


@pytest.mark.long
def test_damaged_snapshots_and_evaluations_are_left_out(vae):
    vae.evaluate(particles=2, samples=0)
    (vae.run.evaluations / "step_99999999.json").write_text('{"metrics": ')
    (vae.run.samples / "step_99999999.png").write_bytes(b"no image")
    (vae.run.samples / "step_of_mine.png").write_bytes(b"no image")
    page = page_of(vae)
    assert "Measured on the test set" in page.prose
    assert "99,999,999" not in page.prose


def test_without_the_data_everything_else_is_there_with_the_reason(vae, monkeypatch):
    def gone(config, progress=SILENT):
        raise DataError("the disk <of the lab> is gone")

    monkeypatch.setattr(run_module, "load", gone)
    page = page_of(simulacra.open(vae.run.path))
    assert page.prose.count("the disk <of the lab> is gone") == 1
    assert page.prose.count("for the reason at the top of the page") == 4
    assert "Images generated from noise" in [attributes["alt"] for attributes in page.all("img")]


@pytest.mark.long
def test_data_that_have_changed_are_not_shown_as_those_of_the_run(vae):
    vae.run.provenance["data"]["digest"] = "of other data"
    assert "was trained on digits with digest of other da" in page_of(vae).prose


# --- curves


def records(kind="train", count=101, **series):
    return [{"kind": kind, "step": step, **{name: value(step) for name, value in series.items()}} for step in range(count)]


def test_a_straight_line_goes_from_corner_to_corner_of_its_frame():
    (drawn,) = plots([{"kind": "train", "step": step, "a/loss": 1.0 + step} for step in range(0, 101, 50)])
    points = re.findall(r"[ML]([\d.]+) ([\d.]+)", drawn.lines[0].train)
    (x0, y0), (x1, y1), (x2, y2) = [(float(x), float(y)) for x, y in points]
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert y0 > y2
    assert [tick.label for tick in drawn.up] == ["0", "25", "50", "75", "100"]


def test_players_share_the_plot_of_their_losses_and_parts_are_grouped_by_unit():
    lines = records(
        **{"critic/loss": lambda step: 1 - step, "generator/loss": float, "critic/gap_nats": float, "lr": lambda _: 1e-3}
    )
    drawn = {plot.title: [line.name for line in plot.lines] for plot in plots(lines)}
    assert drawn == {
        "nats per image": ["critic: gap"],
        "loss": ["critic: loss", "generator: loss"],
        "learning rate": ["learning rate"],
    }


def test_validation_values_lie_over_the_training_values():
    lines = [*records(**{"vae/loss": lambda step: 5.0}), {"kind": "validation", "step": 50, "vae/loss": 6.0}]
    (drawn,) = plots(lines)
    assert (drawn.lines[0].last_train, drawn.lines[0].last_validation) == ("5", "6")
    assert drawn.lines[0].dots[0].label == "loss, validation at step 50: 6"


def test_the_first_steps_leave_the_frame_where_they_dwarf_the_rest():
    (drawn,) = plots(records(**{"vae/loss": lambda step: 1000.0 if step < 3 else 10 - step / 100}))
    assert drawn.clipped
    assert all(9 <= float(tick.label) <= 11 for tick in drawn.up)


def test_a_fall_by_decades_is_drawn_on_a_logarithmic_scale():
    (drawn,) = plots(records(**{"vae/loss": lambda step: 10 ** (-step / 20)}))
    assert drawn.logarithmic
    assert [tick.label for tick in drawn.up] == ["1e-5", "0.0001", "0.001", "0.01", "0.1", "1"]


def test_long_runs_are_averaged_and_odd_records_do_no_harm():
    lines = records(count=20_000, **{"vae/loss": lambda step: float(step % 2)})
    lines += [{"step": 3}, {"kind": "train", "step": 4, "vae/loss": None}, {"kind": "train", "step": 5, "vae/loss": float("nan")}]
    (drawn,) = plots(lines)
    assert drawn.lines[0].train.count("L") < 300
    assert plots(json.loads("[]")) == ()
    (single,) = plots([{"kind": "train", "step": 0, "vae/loss": 0.0}])
    assert single.lines[0].train.endswith("h0")
