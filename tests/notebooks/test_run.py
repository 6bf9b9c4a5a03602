"""The script that executes the notebooks finds every kind of problem, and converts them in the same way every time."""

import json
from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="needs the extra docs")
from notebooks import run

pytestmark = pytest.mark.docs

BEGINNING = """# %% [markdown]
# # A title

# %% tags=["install"]
# # %pip install --quiet simulacra-*.whl

# %%
answer = 41

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
answer + 1
"""


@pytest.fixture
def executed(tmp_path):
    """A function that executes a notebook whose last cell is given."""

    def execute(code="answer", budget=30.0):
        path = tmp_path / "small.py"
        path.write_text(f"{BEGINNING}\n# %%\n{code}\n")
        return run.execute(path, tmp_path / "out", budget)

    return execute


def test_a_notebook_without_problems_is_written_with_and_without_outputs(executed, tmp_path):
    outcome = executed("import os, warnings\nprint(os.environ['OMP_NUM_THREADS'], os.listdir())")
    assert not outcome.problem
    assert 0 < outcome.seconds < 30
    cells = json.loads((tmp_path / "out/small.ipynb").read_text())["cells"]
    clean = json.loads((tmp_path / "out/clean/small.ipynb").read_text())["cells"]
    assert cells[3]["outputs"][0]["data"] == {"text/plain": ["42"]}
    assert cells[4]["outputs"][0]["text"] == ["1 []\n"]
    assert [cell["id"] for cell in clean] == [f"small-{number}" for number in range(5)]
    assert not any(cell.get("outputs") for cell in clean)
    assert clean[1]["source"] == ["# %pip install --quiet simulacra-*.whl"]
    hidden = {"jupyter": {"source_hidden": True}, "tags": ["solution", "hide-input"], "cellView": "form"}
    assert clean[3]["metadata"] == hidden
    assert "simplefilter" not in json.dumps(cells[:4])


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import warnings\nwarnings.warn('it is old', DeprecationWarning)", "DeprecationWarning: it is old"),
        ("import sys\nprint('a problem', file=sys.stderr)", "it wrote to standard error:\na problem"),
        ("import os\nos._exit(1)", "the kernel died"),
    ],
)
def test_a_problem_is_reported_with_its_cell(executed, code, problem, tmp_path):
    found = executed(code).problem
    first = code.split("\n")[0]
    assert found.startswith(f"{tmp_path / 'small.py'}, line 14, cell 5 ({first}): {problem}")


def test_a_notebook_that_is_slow_or_does_not_end_is_reported(executed):
    slow = executed("import time\ntime.sleep(0.3)", budget=0.2)
    assert slow.is_slow
    assert "and its budget is 0.2 s" in slow.problem
    assert "cell 5 (import time): the cell was interrupted" in executed("import time\ntime.sleep(60)", budget=0.2).problem


def test_a_notebook_with_large_outputs_is_reported(executed):
    assert "it has 1.6 MB with its outputs" in executed("print('x' * 1_600_000)").problem


def test_the_script_fails_with_a_table_of_seconds(tmp_path, capsys, monkeypatch):
    (tmp_path / "good.py").write_text("# %%\n1")
    (tmp_path / "bad.py").write_text("# %%\n1 / 0")
    monkeypatch.setattr(run.find, "__defaults__", (tmp_path,))
    assert run.main(["--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().out
    assert "FAILED: " in printed
    assert "all together" in printed
    assert run.main(["good", "--out", str(tmp_path / "out")]) == 0
    assert run.main(["good", "--out", str(tmp_path / "out"), "--total", "0.1"]) == 1


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path):
    (tmp_path / "vae.py").touch()
    with pytest.raises(ValueError, match="there is no notebook 'vea': did you mean 'vae'"):
        run.find(["vea"], tmp_path)
    assert run.find(["notebooks/vae.py"], tmp_path) == [Path(tmp_path / "vae.py")]
