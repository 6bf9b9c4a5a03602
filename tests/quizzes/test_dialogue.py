"""`simulacra quiz`: the dialogue in a terminal, its ends, and what it prints for programs."""

import io
import json
import subprocess
import sys

import pytest
from tests.quizzes.pages import PAGE

from simulacra import quizzes
from simulacra.interfaces.cli import main
from simulacra.quizzes import question

CHOICE = """
[[question]]
id = "four"
kind = "picture"
difficulty = 1
section = "loss"
text = "What is it?"
picture = "one.png"
picture_text = "A grey square."
command = "simulacra sample"
choice = [
  { text = "A", correct = true, explanation = "It is A." },
  { text = "B", correct = false, explanation = "Not B." },
  { text = "C", correct = false, explanation = "Not C." },
]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Let the only quiz be `test`."""
    (tmp_path / "test.toml").write_text(PAGE)
    monkeypatch.setattr(quizzes, "FOLDER", tmp_path)
    monkeypatch.setattr(question, "PICTURES", tmp_path)
    quizzes.find.cache_clear()
    yield tmp_path
    quizzes.find.cache_clear()


@pytest.fixture
def ask(monkeypatch, capsys):
    """Return a function that answers by lines, and returns exit code, output and errors."""

    def answered(lines, *words):
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        code = main(["quiz", "test", "--seed", "0", *words])
        return code, *capsys.readouterr()

    return answered


def letter(output, text):
    """Return the letter of a choice."""
    return next(line.strip()[0] for line in output.splitlines() if line.strip()[1:] == f") {text}")


def test_right_answers_are_counted(ask):
    shown = ask([""])[1]
    steps = ask(["", ""])[1]
    right = letter(shown, "Yes <b>bold</b>")
    order = "".join(letter(steps, step) for step in ("Encode.", "Draw.", "Decode."))
    code, output, _ = ask([right, "4.5", order])
    assert code == 0
    assert output.count("Right.") == 3
    assert "Score: 3 of 3" in output
    assert "Read again" not in output


def test_wrong_answers_are_explained_and_their_sections_named(ask):
    shown = ask([""])[1]
    code, output, _ = ask([letter(shown, "No"), "9 nats", "a b c"])
    assert code == 0
    for text in (
        "This is the second mistake.",
        "Right answer: Yes <b>bold</b>",
        "The factor is missing.",
        "Right answer: 4.5 nats",
    ):
        assert text in output
    assert "1. Encode.\n2. Draw.\n3. Decode." in output
    assert "Score: 0 of 3" in output
    assert "  docs/families/vae.md#loss\n  docs/families/vae.md#kl-divergence\n" in output


def test_what_is_no_answer_is_asked_again(ask):
    output = ask(["z", "", "four", "", "a a b", ""])[1]
    assert "Enter one letter from a to c." in output
    assert "Enter a number with a decimal point" in output
    assert "Enter each letter from a to c once" in output
    assert output.count("Skipped.") == 3
    assert "Score: 0 of 3, 0 answered" in output


def test_the_end_of_the_input_ends_the_quiz_with_its_score(ask):
    code, output, _ = ask(["", "4.5"])
    assert code == 0
    assert "Score: 1 of 3, 1 answered" in output


def test_an_interrupt_ends_the_quiz_with_its_score(monkeypatch, capsys):
    def interrupt(prompt):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    assert main(["quiz", "test"]) == 0
    assert "Score: 0 of 3, 0 answered" in capsys.readouterr().out


def test_without_input_there_is_one_clear_message(ask):
    code, _, errors = ask([])
    assert code == 2
    assert errors == "error: a quiz reads answers from standard input, which is empty: start it in a terminal, or use --json\n"


def test_questions_are_chosen_by_number_difficulty_and_seed(ask):
    assert "2 questions" in ask(["", ""], "--count", "2")[1]
    output = ask([""], "--difficulty", "2")[1]
    assert "How large is it?" in output
    assert "1 questions" not in output
    assert ask([""], "--count", "0")[0] == 2


def test_a_difficulty_without_questions_is_refused(ask, folder):
    (folder / "test.toml").write_text(PAGE.replace("difficulty = 2", "difficulty = 1"))
    code, _, errors = ask([""], "--difficulty", "2")
    assert code == 2
    assert "no question of difficulty 2" in errors


def test_pictures_are_described_and_their_files_named(ask, folder):
    (folder / "one.png").write_bytes(b"")
    (folder / "test.toml").write_text(PAGE + CHOICE)
    output = ask(["", "", "", ""])[1]
    assert "[picture] A grey square." in output
    assert "one.png" in output


def test_questions_and_answers_are_json_for_programs(capsys):
    assert main(["quiz", "test", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [item["kind"] for item in content["questions"]] == ["choice", "number", "order"]
    assert content["questions"][1]["answer"] == 4.5
    assert main(["quiz", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "test": {"title": "A page & its <title>", "page": "families/vae", "questions": 3}
    }


def test_the_list_names_every_quiz(capsys):
    assert main(["quiz"]) == 0
    assert "test  3          A page & its <title>" in capsys.readouterr().out


def test_the_command_does_not_import_torch():
    code = "import sys; from simulacra.interfaces.cli import main; main(['quiz']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
