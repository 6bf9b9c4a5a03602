// The quiz of one page: grades answers as simulacra/quizzes/question.py does. The first answer to each question counts.

function startQuiz(root) {
  if (!root || root.dataset.started) return;
  root.dataset.started = "yes";
  const key = `simulacra-quiz:${root.dataset.name}:${root.dataset.version}`;
  const cards = [...root.querySelectorAll(".sq-card")];
  let answers = load(key);

  for (const card of cards) {
    card.noValidate = true;
    card.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = KINDS[card.dataset.kind].read(card);
      if (given.problem) return remark(card, given.problem);
      answers[card.dataset.id] = given.value;
      store(key, answers);
      reveal(card, given.value);
      showScore();
    });
    for (const button of card.querySelectorAll(".sq-up, .sq-down")) button.addEventListener("click", () => move(button));
    if (card.dataset.id in answers) reveal(card, answers[card.dataset.id]);
    else unlock(card);
  }
  root.querySelector(".sq-again").addEventListener("click", () => {
    answers = {};
    store(key, answers);
    for (const card of cards) {
      card.reset();
      unlock(card);
      shuffle(card);
    }
    showScore();
    cards[0].scrollIntoView({ block: "nearest" });
    cards[0].querySelector("input, button").focus({ preventScroll: true });
  });
  showScore();

  function showScore() {
    const answered = cards.filter((card) => card.dataset.id in answers);
    const right = answered.filter((card) => card.dataset.result === "right").length;
    const left = cards.length - answered.length;
    const rest = left ? `${right} right, ${left} not answered yet` : `Score: ${right} of ${cards.length}`;
    root.querySelector(".sq-score").textContent = answered.length ? rest : `${cards.length} questions`;
    root.querySelector(".sq-again").hidden = !answered.length;
  }
}

const KINDS = {
  choice: { read: readChoice, grade: gradeChoice },
  picture: { read: readChoice, grade: gradeChoice },
  number: { read: readNumber, grade: gradeNumber },
  order: { read: readOrder, grade: gradeOrder },
};

function readChoice(card) {
  const chosen = card.querySelector("input:checked");
  return chosen ? { value: chosen.value } : { problem: "Choose one of the answers first." };
}

function gradeChoice(card, value) {
  const input = [...card.querySelectorAll("input")].find((one) => one.value === value);
  input.checked = true;
  const chosen = input.closest(".sq-choice");
  const right = card.querySelector(".sq-choice[data-right]");
  for (const choice of new Set([chosen, right])) {
    choice.classList.add(choice === right ? "sq-good" : "sq-bad");
    choice.querySelector(".sq-why").hidden = false;
  }
  const aloud = [...new Set([chosen, right])].map((choice) => spoken(choice));
  return { right: chosen === right, shown: aloud };
}

// The explanations are shown beside the choices: this copy is for screen readers alone, which read what changes in the feedback.
function spoken(choice) {
  const copy = choice.querySelector(".sq-why").cloneNode(true);
  copy.className = "sq-spoken";
  copy.prepend(`${choice.querySelector("label").textContent} `);
  return copy;
}

function parsed(card, written) {
  const unit = card.querySelector(".sq-field").dataset.unit;
  let plain = written.trim();
  if (unit && plain.endsWith(unit)) plain = plain.slice(0, -unit.length).trim();
  const parts = plain.replaceAll("\u2212", "-").split("/").map((part) => (part.trim() ? Number(part) : NaN));
  return parts.length > 2 ? NaN : parts.reduce((above, below) => above / below);
}

function readNumber(card) {
  const written = card.querySelector(".sq-field input").value;
  const value = { value: written };
  return Number.isFinite(parsed(card, written)) ? value : { problem: "Enter a number with a decimal point, such as 4.5." };
}

function gradeNumber(card, written) {
  const field = card.querySelector(".sq-field");
  const value = parsed(card, written);
  const reach = (of) => Number(field.dataset.tolerance) + 1e-9 * Math.abs(of);
  const answer = Number(field.dataset.answer);
  const right = Math.abs(value - answer) <= reach(answer);
  const distance = (mistake) => Math.abs(value - Number(mistake.dataset.value));
  const near = [...card.querySelectorAll(".sq-mistake")].sort((one, other) => distance(one) - distance(other))[0];
  field.querySelector("input").value = written;
  const shown = !right && near && distance(near) <= reach(value) ? [near] : [];
  return { right, shown: [...shown, card.querySelector(".sq-right")] };
}

function readOrder(card) {
  return { value: [...card.querySelectorAll(".sq-steps > li")].map((step) => step.dataset.place) };
}

function gradeOrder(card, order) {
  const list = card.querySelector(".sq-steps");
  for (const place of order) list.append(list.querySelector(`li[data-place="${place}"]`));
  const first = order.findIndex((place, index) => Number(place) !== index);
  const before = first === 1 ? "Step 1 is right, step 2 is not." : `Steps 1 to ${first} are right, step ${first + 1} is not.`;
  const remark = first < 0 ? "" : first === 0 ? "Step 1 is not right." : before;
  return { right: first < 0, remark, shown: [card.querySelector(".sq-right")] };
}

function move(button) {
  const step = button.closest("li");
  const other = button.classList.contains("sq-up") ? step.previousElementSibling : step.nextElementSibling;
  if (!other) return;
  if (button.classList.contains("sq-up")) other.before(step);
  else other.after(step);
  ends(step.closest(".sq-card"));
  const steps = [...step.parentElement.children];
  const text = step.querySelector(".sq-step").textContent;
  remark(step.closest(".sq-card"), `Step ${steps.indexOf(step) + 1} of ${steps.length}: ${text}`);
  (button.disabled ? step.querySelector("button:not(:disabled)") : button).focus();
}

function ends(card) {
  const steps = [...card.querySelectorAll(".sq-steps > li")];
  steps.forEach((step, index) => {
    step.querySelector(".sq-up").disabled = index === 0;
    step.querySelector(".sq-down").disabled = index === steps.length - 1;
  });
}

function shuffle(card) {
  const list = card.querySelector(".sq-choices, .sq-steps");
  if (!list) return;
  const items = [...list.children];
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [items[last], items[other]] = [items[other], items[last]];
  }
  list.append(...items);
  if (items[0].dataset.place && items.every((item, index) => Number(item.dataset.place) === index)) list.append(items[0]);
  ends(card);
}

function unlock(card) {
  delete card.dataset.result;
  card.querySelector("fieldset").disabled = false;
  card.querySelector(".sq-check").hidden = false;
  card.querySelector(".sq-feedback").replaceChildren();
  for (const part of card.querySelectorAll(".sq-why, .sq-mistake, .sq-right, .sq-section, .sq-made")) part.hidden = true;
  for (const choice of card.querySelectorAll(".sq-choice")) choice.classList.remove("sq-good", "sq-bad");
  ends(card);
}

function reveal(card, value) {
  const grade = KINDS[card.dataset.kind].grade(card, value);
  card.dataset.result = grade.right ? "right" : "wrong";
  const verdict = document.createElement("p");
  verdict.className = `sq-verdict ${grade.right ? "sq-good" : "sq-bad"}`;
  verdict.textContent = `${grade.right ? "\u2713 Right." : "\u2717 Not right."} ${grade.remark || ""}`;
  const copies = grade.shown.map((part) => {
    const copy = part.cloneNode(true);
    copy.hidden = false;
    return copy;
  });
  card.querySelector(".sq-feedback").replaceChildren(verdict, ...copies);
  card.querySelector("fieldset").disabled = true;
  card.querySelector(".sq-check").hidden = true;
  card.querySelector(".sq-section").hidden = false;
  for (const part of card.querySelectorAll(".sq-made")) part.hidden = false;
}

function remark(card, text) {
  const line = document.createElement("p");
  line.className = "sq-hint";
  line.textContent = text;
  card.querySelector(".sq-feedback").replaceChildren(line);
}

function load(key) {
  try {
    return JSON.parse(localStorage.getItem(key)) || {};
  } catch {
    return {};
  }
}

function store(key, answers) {
  try {
    localStorage.setItem(key, JSON.stringify(answers));
  } catch {
    // storage is refused: the score is kept until the page is closed
  }
}
