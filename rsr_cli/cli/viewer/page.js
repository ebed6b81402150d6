"use strict";
// Every text goes into the page by textContent: what a model wrote is never read as HTML.
const list = document.getElementById("list"), more = document.getElementById("more");
const detail = document.getElementById("detail"), form = document.getElementById("filter");
let version = null, next = [0, 0], current = null, round = 0, loading = false, open = false;

function make(tag, text, name) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (name) node.className = name;
  return node;
}

async function ask(path, query) {
  const response = await fetch(path + "?" + new URLSearchParams(query));
  const body = await response.json().catch(() => ({ error: response.statusText }));
  if (!response.ok) throw new Error(body.error || response.statusText);
  return body;
}

function wanted() {
  return Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
}

async function load(least) {
  // Asks until there are so many more prompts, or no more are there; a later filter ends it.
  const own = round;
  if (loading || !next) return;
  loading = true;
  try {
    const goal = list.children.length + least;
    while (next && list.children.length < goal && own === round) {
      more.textContent = "searching …";
      const found = await ask("prompts", { ...wanted(), shard: next[0], place: next[1] });
      if (own !== round) return;
      next = found.next;
      found.prompts.forEach(add);
    }
    more.textContent = next ? "scroll for more" : list.children.length + " prompts";
  } catch (error) {
    more.textContent = String(error.message);
  } finally {
    if (own === round) loading = false;
  }
}

function add(item) {
  const row = make("li", item.id);
  const dots = make("span", null, "dots");
  item.outcomes.slice(0, 64).forEach((outcome) => {
    const dot = make("span", outcome === "error" || outcome === "truncated" ? "▲" : "●", outcome);
    dot.title = outcome;
    dots.append(dot);
  });
  row.append(dots);
  row.item = item;
  row.addEventListener("click", () => show(row));
  list.append(row);
  if (current && current.shard === item.shard && current.id === item.id) row.setAttribute("aria-current", "true");
}

async function show(row, again) {
  for (const other of list.children) other.removeAttribute("aria-current");
  row.setAttribute("aria-current", "true");
  if (!again) row.scrollIntoView({ block: "nearest" });
  current = row.item;
  await draw(row.item, again);
}

async function draw(item, again) {
  let found;
  try {
    found = await ask("prompt", { shard: item.shard, id: item.id });
  } catch (error) {
    detail.replaceChildren(make("p", error.message, "soft"));
    return;
  }
  if (current !== item) return;
  const parts = [make("h2", found.id)];
  for (const message of found.messages) {
    const box = make("div", null, "message");
    box.append(make("div", message.role, "facts"), make("pre", message.text));
    parts.push(box);
  }
  const answer = make("p");
  answer.append(make("span", "answer ", "soft"), make("b", found.answer === null ? "–" : found.answer));
  const grid = make("div");
  grid.id = "attempts";
  found.attempts.forEach((attempt) => grid.append(card(attempt)));
  parts.push(answer, folded("metadata", found.metadata), grid);
  const top = detail.scrollTop;
  detail.replaceChildren(...parts);
  detail.scrollTop = again ? top : 0;
}

function folded(title, text, opened) {
  const box = make("details");
  box.open = Boolean(opened);
  box.append(make("summary", title), make("pre", text));
  return box;
}

function card(attempt) {
  const box = make("section", null, "attempt");
  const score = attempt.score === null ? "" : " " + attempt.score;
  box.append(make("h3", "attempt " + attempt.attempt + ": " + attempt.outcome + score, attempt.outcome));
  const facts = [attempt.status, attempt.finish_reason, attempt.tokens === null ? null : attempt.tokens + " tokens",
    attempt.model, "step " + attempt.step];
  box.append(make("div", facts.filter(Boolean).join(" · "), "facts"));
  if (attempt.extracted !== null) {
    const line = make("div", "extracted ");
    line.append(make("mark", attempt.extracted));
    box.append(line);
  }
  if (attempt.explanation) box.append(make("pre", attempt.explanation, "rationale"));
  if (attempt.details) box.append(folded("details of the verdict", pretty(attempt.details)));
  if (attempt.reasoning) {
    const thinking = folded("thinking", attempt.reasoning, open);
    thinking.className = "thinking";
    box.append(thinking);
  }
  if (attempt.error) box.append(make("pre", attempt.error, "error"));
  if (attempt.response !== null) box.append(marked(attempt.response, attempt.extracted));
  if (attempt.tool_calls) box.append(make("pre", pretty(attempt.tool_calls)));
  return box;
}

function marked(text, answer) {
  // The last place where the extracted answer stands is the one that it was read from, most likely.
  const box = make("pre", null, "response");
  const place = answer ? text.lastIndexOf(answer) : -1;
  if (place < 0) {
    box.textContent = text;
  } else {
    box.append(text.slice(0, place), make("mark", answer), text.slice(place + answer.length));
  }
  return box;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

function refresh() {
  round += 1;
  loading = false;
  next = [0, 0];
  const seen = Math.max(list.children.length, 50);
  list.replaceChildren();
  return load(seen);
}

async function look() {
  try {
    const about = await ask("about", {});
    document.title = "rsr view: " + about.name;
    document.getElementById("name").textContent = about.name;
    const live = about.live;
    document.getElementById("live").textContent = live
      ? live.stage + " " + live.done + (live.total === null ? "" : "/" + live.total)
      : about.prompts === null || about.prompts === undefined ? "" : about.prompts.toLocaleString("en") + " prompts";
    const changed = version !== null && version !== about.version;
    version = about.version;
    if (changed) {
      await refresh();
      if (current) await draw(current, true);
    }
  } catch (error) {
    document.getElementById("live").textContent = error.message;
  }
  setTimeout(look, 3000);
}

function step(by) {
  const rows = [...list.children];
  const at = rows.findIndex((row) => row.getAttribute("aria-current") === "true");
  const row = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
  if (row) show(row);
  if (at + by >= rows.length - 5) load(50);
}

form.addEventListener("submit", (event) => { event.preventDefault(); list.replaceChildren(); refresh(); });
form.addEventListener("change", () => { list.replaceChildren(); refresh(); });
list.parentElement.addEventListener("scroll", (event) => {
  const box = event.target;
  if (box.scrollTop + box.clientHeight > box.scrollHeight - 200) load(50);
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") document.activeElement.blur();
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
  if (event.key === "j" || event.key === "ArrowDown") step(1);
  else if (event.key === "k" || event.key === "ArrowUp") step(-1);
  else if (event.key === "/") form.elements.text.focus();
  else if (event.key === "t") {
    open = !open;
    document.querySelectorAll(".thinking").forEach((box) => { box.open = open; });
  } else return;
  event.preventDefault();
});
load(50);
look();
