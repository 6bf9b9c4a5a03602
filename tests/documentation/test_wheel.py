"""The built wheel contains what commands read at run time: pages, questions, pictures and assets."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_the_wheel_contains_pages_and_quizzes(tmp_path):
    pytest.importorskip("setuptools")
    words = ["egg_info", "-e", tmp_path, "build", "-b", tmp_path / "build", "bdist_wheel", "-d", tmp_path / "wheel"]
    subprocess.run([sys.executable, "setup.py", "-q", *map(str, words)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").glob("[!_]*/*.md")}
    assert pages
    assert {f"simulacra/documentation/pages/{page}" for page in pages} <= held
    source = ROOT / "src" / "simulacra"
    quizzes = [path for path in (source / "quizzes").rglob("*") if path.suffix in (".toml", ".png", ".js", ".css", ".html")]
    assert {f"simulacra/{path.relative_to(source).as_posix()}" for path in quizzes} <= held
