"""Every metric, family, warning and setting leads to a section that names it; an unknown name gets suggestions."""

import json
import re
from pathlib import Path

import pytest

import simulacra
from simulacra import families
from simulacra.core.errors import UsageError
from simulacra.documentation import pages
from simulacra.documentation.explanation import explained, number_place
from simulacra.documentation.places import COMMANDS, CONCEPTS, SETTINGS, STATISTICS, SYNONYMS, WARNINGS
from simulacra.documentation.sections import anchor_of
from simulacra.documentation.settings import setting_sections
from simulacra.documentation.topics import all_topics, normal
from simulacra.interfaces import catalogue as catalogue_module
from simulacra.interfaces.catalogue import catalogue
from simulacra.interfaces.cli import main, names

SOURCE = Path(simulacra.__file__).parent


@pytest.fixture(scope="module")
def facts():
    return catalogue_module._catalogue()


@pytest.fixture
def explain(facts):
    return lambda name: explained(name, families.packaged(), lambda: facts)


def kinds(explanation):
    return [part.topic.kind for part in explanation.parts]


def test_every_number_leads_to_a_section_that_names_it(facts):
    for number in facts.numbers:
        section = pages.section(number_place(number.name))
        assert section.names(number.name), number.name


def test_every_setting_leads_to_sections_that_name_it(facts):
    for flag in {setting.flag for setting in facts.settings}:
        sections = setting_sections(flag, [setting for setting in facts.settings if setting.flag == flag])
        assert sections, flag
        assert flag in SETTINGS or all(section.names(flag) for section in sections), flag


def test_every_setting_of_a_family_leads_to_a_section_that_names_it(facts):
    for flag in {setting.flag for setting in facts.settings if setting.is_own}:
        sections = setting_sections(flag, [setting for setting in facts.settings if setting.flag == flag])
        assert any(f"{flag}" in section.whole for section in sections), flag


def test_every_family_has_an_overview_and_further_sections(explain):
    for name in families.packaged():
        text = explain(name).text()
        assert f"docs/families/{name}.md" in text
        assert "Further sections: " in text


def test_every_warning_of_a_training_and_of_an_evaluation_has_sections():
    monitors = (SOURCE / "training" / "monitors.py").read_text()
    evaluation = (SOURCE / "evaluation" / "warnings.py").read_text()
    used = {*re.findall(r'_warning\(\s*"([a-z ]+)"', monitors), *re.findall(r'\bname = "([a-z ]+)"', monitors)}
    used |= set(re.findall(r'f"([a-z ]+): ', evaluation))
    assert used == set(WARNINGS)


def test_every_chosen_place_exists():
    chosen = [*SETTINGS.values(), *CONCEPTS.values(), *WARNINGS.values(), COMMANDS.values(), STATISTICS.values()]
    for place in (place for places in chosen for place in places):
        assert pages.section(place)
    assert set(COMMANDS) <= set(names())


def test_every_synonym_leads_to_a_topic(explain):
    for synonym in SYNONYMS:
        assert explain(synonym).parts, synonym


def test_names_without_the_catalogue_are_the_names_of_nothing_else(facts):
    named = [normal(topic.name) for topic in all_topics(facts)]
    for name in [*families.packaged(), *WARNINGS]:
        assert named.count(normal(name)) == 1, name


def test_a_family_and_a_warning_are_explained_without_the_catalogue():
    def missing():
        raise AssertionError

    assert "prior" in explained("vae", families.packaged(), missing).text()
    assert "Reparameterization" in explained("vae loss", families.packaged(), missing).text()
    assert "active_units" in explained("Posterior-collapse", families.packaged(), missing).text()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("frechet_distance", "metric"),
        ("FD", "metric"),
        ("FID", "concept"),
        ("is", "concept"),
        ("--guidance_scale", "setting"),
        ("batch-size", "setting"),
        ("ELBO", "concept"),
        ("KL divergence", "concept"),
        ("saturation", "statistic"),
        ("evaluate", "command"),
        ("calibrated intervals", "concept"),
        ("DDPM", "family"),
    ],
)
def test_a_name_is_found(explain, name, kind):
    assert kind in kinds(explain(name))


def test_a_name_of_several_topics_explains_all(explain):
    assert kinds(explain("precision")) == ["metric", "setting"]
    assert kinds(explain("diversity")) == ["metric", "statistic"]


def test_a_setting_states_defaults_ranges_and_families(explain):
    text = explain("beta").text()
    assert "simulacra train cvae, restorer, vae: default 1; at least 0" in text
    assert "simulacra train vae_gan: default 20; at least 0" in text
    assert "_β = distortion + β · rate" in text


def test_an_entry_of_a_table_is_shown_alone(explain):
    text = explain("weight-decay").text()
    assert "shrinks the weights" in text
    assert "moving average" not in text


def test_an_unknown_name_gets_the_nearest(explain):
    with pytest.raises(UsageError, match="nothing explains 'posterior colapse': the nearest are posterior-collapse"):
        explain("posterior colapse")
    with pytest.raises(UsageError, match="no name is similar"):
        explain("qqqq")


def test_the_command_prints_lists_and_refuses(capsys, monkeypatch, facts):
    monkeypatch.setattr("simulacra.interfaces.commands.explain.catalogue", lambda announce: facts)
    assert main(["explain", "--beta", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["topics"][0]["sections"][0]["place"] == "families/vae#beta-and-reduction"
    assert main(["explain"]) == 0
    listed = capsys.readouterr().out
    assert all(word in listed for word in ("frechet_distance", "--beta", "posterior collapse", "vae_gan", "ELBO", "restore"))
    assert main(["explain", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["family"]) == set(families.packaged())
    assert main(["explain", "nothing-at-all"]) == 2
    assert "nothing explains" in capsys.readouterr().err


def test_the_catalogue_is_read_from_the_cache(monkeypatch, facts):
    monkeypatch.setattr(catalogue_module, "_catalogue", lambda: facts)
    assert catalogue() == facts
    monkeypatch.setattr(catalogue_module, "_catalogue", lambda: pytest.fail("collected again"))
    assert catalogue() == facts


def test_a_notebook_displays_markdown():
    found = simulacra.explain("mode collapse")
    assert "## Mode collapse, docs/guides/monitoring.md" in found._repr_markdown_()
    assert "Condition:" in repr(found)


def test_messages_name_topics_that_exist(explain):
    calls = [line for path in SOURCE.rglob("*.py") for line in path.read_text().splitlines() if '", "' in line]
    topics = {found[1] for line in calls if (found := re.search(r'"(?:\)|, )?"?([a-z]+)"\)', line)) and "explained_by(" in line}
    assert topics == {"capabilities", "label", "caption"}
    for topic in topics:
        assert explain(topic).parts


def test_anchors_are_unique_on_each_page():
    for page in pages.names():
        anchors = [section.anchor for section in pages.page_sections(page)]
        assert len(anchors) == len(set(anchors)), page
    assert anchor_of("Data with a known density") == "data-with-a-known-density"
