"""A quiz as one fragment of HTML for the site and for notebooks, with its own style and script, without references."""

import base64
from collections.abc import Callable, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from uuid import uuid4

from simulacra.quizzes.markdown import html_of, inline_html
from simulacra.quizzes.question import ChoiceQuestion, NumberQuestion, OrderQuestion, Question
from simulacra.quizzes.shuffling import shown_order

_DIFFICULTIES = {1: "easy", 2: "medium", 3: "hard"}
_FOLDER = Path(__file__).parent

Link = Callable[[str], tuple[str, str]]  # the address and the title of a section, by its anchor; an empty address: no link


def fragment(
    name: str,
    title: str,
    questions: Sequence[Question],
    page: str,
    *,
    link: Link | None = None,
    identity: str = "",
    seed: int = 0,
) -> str:
    """Return the HTML of a quiz.

    link: returns address and title of a section, by default its title alone; identity: the id of the outer element, by default a
    new one; seed: of the order of choices and steps. Without scripts the questions are readable, and the answers are not shown.
    """
    identity = identity or f"quiz-{uuid4().hex[:12]}"
    cards = [_card(question, number, identity, link or _unlinked(page), seed) for number, question in enumerate(questions, 1)]
    script = (_FOLDER / "quiz.js").read_text("utf-8")
    facts = f'data-name="{escape(name)}" data-version="{_version(questions)}" aria-label="Quiz: {escape(title)}"'
    return "\n".join(
        [
            f'<section class="simulacra-quiz" id="{identity}" {facts}>',
            f"<style>\n{(_FOLDER / 'quiz.css').read_text('utf-8')}</style>",
            '<div class="sq-head"><p class="sq-score" role="status">'
            f"{len(questions)} questions</p>"
            '<button type="button" class="sq-again" hidden>Start again</button></div>',
            *cards,
            "<noscript><p>Answers are checked by a script, which this page may not run. "
            f"In a terminal: <code>simulacra quiz {escape(name)}</code></p></noscript>",
            f"<script>\n(() => {{\n{script}startQuiz(document.getElementById({identity!r}));\n}})();\n</script>",
            "</section>",
        ]
    )


def _unlinked(page: str) -> Link:
    return lambda anchor: ("", f"{anchor.replace('-', ' ')} (docs/{page}.md)")


def _version(questions: Sequence[Question]) -> str:
    """Return a digest of all questions: stored answers to other versions of them are ignored."""
    return sha256(repr(questions).encode()).hexdigest()[:12]


def _card(question: Question, number: int, identity: str, link: Link, seed: int) -> str:
    address, section = link(question.section)
    place = f'<a href="{escape(address)}">{escape(section)}</a>' if address else escape(section)
    name = f"{identity}-{number}"
    return "\n".join(
        [
            f'<form class="sq-card" data-id="{escape(question.id)}" data-kind="{question.kind}">',
            f'<fieldset><legend><span class="sq-number">Question {number}</span> '
            f'<span class="sq-level">{_DIFFICULTIES[question.difficulty]}</span></legend>',
            f'<div class="sq-text">{html_of(question.text)}</div>',
            *_answers(question, name, seed),
            "</fieldset>",
            '<button type="submit" class="sq-check">Check</button>',
            '<div class="sq-feedback" role="status" aria-live="polite"></div>',
            f'<p class="sq-section" hidden>Section: {place}</p>',
            "</form>",
        ]
    )


def _answers(question: Question, name: str, seed: int) -> list[str]:
    """Return the inputs of a question, and the hidden explanations that its script shows."""
    match question:
        case ChoiceQuestion():
            return [*_picture(question), *_choices(question, name, seed)]
        case NumberQuestion():
            return _number(question, name)
        case OrderQuestion():
            return _order(question, seed)
        case _:
            raise TypeError(type(question))


def _picture(question: ChoiceQuestion) -> list[str]:
    if question.picture is None:
        return []
    data = base64.b64encode(question.picture.path.read_bytes()).decode()
    image = f'<img src="data:image/png;base64,{data}" alt="{escape(question.picture.text)}">'
    made = f"<details><summary>How it was made</summary><code>{escape(question.picture.command)}</code></details>"
    return [f'<figure>{image}<figcaption hidden class="sq-made">{made}</figcaption></figure>']


def _choices(question: ChoiceQuestion, name: str, seed: int) -> list[str]:
    lines = ['<div class="sq-choices">']
    for place in shown_order(question, seed):
        choice = question.choices[place]
        right = " data-right" if choice.correct else ""
        lines.append(
            f'<div class="sq-choice"{right}><label><input type="radio" name="{name}" value="{place}" required>'
            f"<span>{inline_html(choice.text)}</span></label>"
            f'<div class="sq-why" hidden>{html_of(choice.explanation)}</div></div>'
        )
    return [*lines, "</div>"]


def _number(question: NumberQuestion, name: str) -> list[str]:
    unit = escape(question.unit)
    facts = f'data-answer="{question.answer!r}" data-tolerance="{question.tolerance!r}" data-unit="{unit}"'
    mistakes = [
        f'<div class="sq-mistake" data-value="{mistake.value!r}" hidden>{html_of(mistake.explanation)}</div>'
        for mistake in question.mistakes
    ]
    label = f"Your answer{f', in {unit}' if unit else ''}"
    return [
        f'<div class="sq-field" {facts}><input type="text" inputmode="text" autocomplete="off" id="{name}" aria-label="{label}" '
        f'placeholder="a number"> <span class="sq-unit">{unit}</span></div>',
        *mistakes,
        _right(escape(question.right), question.explanation),
    ]


def _order(question: OrderQuestion, seed: int) -> list[str]:
    lines = ['<p class="sq-hint">Move the steps into the right order.</p><ol class="sq-steps">']
    for place in shown_order(question, seed):
        lines.append(
            f'<li data-place="{place}"><span class="sq-step">{inline_html(question.steps[place])}</span>'
            '<span class="sq-moves"><button type="button" class="sq-up" aria-label="Move up">&uarr;</button>'
            '<button type="button" class="sq-down" aria-label="Move down">&darr;</button></span></li>'
        )
    steps = "".join(f"<li>{inline_html(step)}</li>" for step in question.steps)
    return [*lines, "</ol>", _right(f"<ol>{steps}</ol>", question.explanation)]


def _right(answer: str, explanation: str) -> str:
    return f'<div class="sq-right" hidden><div class="sq-answer">Right answer: {answer}</div>{html_of(explanation)}</div>'
