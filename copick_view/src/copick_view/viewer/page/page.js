"use strict";
// The page beside the viewer. It keeps nothing: the server has the state, and is asked for it once a second.

const $ = (id) => document.getElementById(id);
let run = null;        // the run that is open
let shown = null;      // what was shown last, as JSON
let open = new Set();  // lists whose points are shown
let inNm = false;
let timer = null;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

async function ask(path, body) {
  const options = body ? { method: "POST", body: JSON.stringify(body) } : {};
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

const address = () => `viewer/run/${encodeURIComponent(run)}`;

async function act(action, values = {}) {
  try {
    show(await ask(address(), { action, with: values }));
  } catch (error) {
    complain(error);
  }
}

function complain(error) {
  $("unsaved").textContent = error.message.trim();
}

const counted = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

// ------------------------------------------------------------------ all runs

async function showRuns() {
  $("run").hidden = true;
  $("runs").hidden = false;
  $("where").textContent = "";
  for (const id of ["undo", "store", "link"]) $(id).hidden = true;
  $("viewer").removeAttribute("src");
  $("unsaved").textContent = "";
  const project = await ask("project");
  document.title = project.name || "copick";
  const facts = element("div", { className: "facts" });
  facts.append(`${project.name || ""}: ${counted(project.runs.length, "run")}, ${counted(project.objects.length, "object")}. ${project.description || ""}`);
  const cards = project.runs.map((found) =>
    element(
      "a",
      { className: "card", href: `#${encodeURIComponent(found.name)}` },
      element("img", { src: `${found.picture}?size=400`, alt: "", loading: "lazy" }),
      element("div", {}, found.name),
    ),
  );
  $("runs").replaceChildren(facts, ...cards);
}

// ------------------------------------------------------------------ one run

async function showRun(name, view) {
  run = name;
  shown = null;
  open = new Set();
  $("runs").hidden = true;
  $("run").hidden = false;
  $("where").textContent = name;
  $("panel").replaceChildren("Opening…");
  document.title = `${name} – copick`;
  try {
    let found = await ask(address());
    if (view) found = await ask(address(), { action: "view", with: { view } });
    for (const id of ["undo", "store", "link"]) $(id).hidden = false;
    $("viewer").src = new URL(found.viewer, location.href).href;
    show(found);
  } catch (error) {
    $("panel").replaceChildren(element("p", { className: "error" }, error.message));
  }
}

async function follow() {
  if (run === null) return;
  const asked = run;
  try {
    const found = await ask(address());
    if (asked === run) show(found);
  } catch (error) {
    complain(error);
  }
}

function show(found) {
  latest = found;
  const { view, ...rest } = found;
  const text = JSON.stringify(rest);
  if (text === shown) return;
  shown = text;
  const unsaved = Object.entries(found.unsaved).map(([name, what]) => `${name}: ${what}`);
  $("unsaved").textContent = unsaved.length ? `Not stored: ${unsaved.join("; ")}` : "";
  $("store").className = unsaved.length ? "main" : "";
  const top = $("panel").scrollTop;
  $("panel").replaceChildren(...panel(found));
  $("panel").scrollTop = top;
  showQuestion(found.question);
}
let latest = null;

function panel(found) {
  return [
    ...heading("Editing", editing(found)),
    element("div", { className: "messages", id: "messages" }, ...found.messages.slice(-4).reverse().map((m) => element("p", {}, m))),
    ...heading("Points", found.lists.flatMap((list) => listed(list, found))),
    ...heading("Layers", found.layers.map((l) => layer(l, found))),
    ...heading("Tomogram", tomogram(found)),
    ...heading("Objects", found.objects.map(legend)),
    ...heading("Review", reviews(found)),
    ...(found.problems.length ? heading("Not drawn", found.problems.map((text) => element("p", { className: "error small" }, text))) : []),
  ];
}

const heading = (text, rows) => [element("h2", {}, text), ...rows];
const row = (...children) => element("div", { className: "row" }, ...children);
const swatch = (color) => {
  const made = element("span", { className: "swatch" });
  made.style.background = color;
  return made;
};

function choice(values, chosen, change, id = "") {
  const select = element("select", { id }, ...values.map((v) => element("option", { value: v, selected: v === chosen }, v)));
  select.addEventListener("change", () => change(select.value));
  return select;
}

function editing(found) {
  if (found.why_not) return [element("p", { className: "dim" }, found.why_not)];
  const names = found.objects.filter((o) => o.points).map((o) => o.name);
  if (!names.length) return [element("p", { className: "dim" }, "The project has no object that points can be given to.")];
  const assign = choice(["", ...names], "", (name) => name && act("assign", { object: name }), "assign");
  return [
    element("p", { className: "dim small" }, `As ${found.user}, session ${found.session}. Ctrl + click adds a point.`),
    row("Add", choice(names, found.chosen, (name) => act("choose", { object: name }), "add")),
    row("Selected point to", assign),
  ];
}

function listed(list, found) {
  const box = element("input", { type: "checkbox", checked: list.visible });
  box.addEventListener("change", () => act("show", { names: [list.name, `${list.name} axes`], visible: box.checked }));
  const label = element("label", { title: list.layer ? `${list.name} in layer ${list.layer}` : list.name }, box, swatch(list.color), list.name);
  const rows = [];
  const badges = [];
  if (list.own) badges.push(element("span", { className: "badge own" }, "mine"));
  if (list.new) badges.push(element("span", { className: "badge new" }, "new"));
  if (list.covered) badges.push(element("span", { className: "badge", title: "Other picks of this address are shown" }, `in ${list.layer}`));
  else if (list.read_only) badges.push(element("span", { className: "badge", title: "Read-only" }, "read-only"));
  const more = element("button", {}, `${list.count} ${open.has(list.name) ? "▾" : "▸"}`);
  more.addEventListener("click", () => {
    if (!open.delete(list.name)) open.add(list.name);
    shown = null;
    show(latest);
  });
  rows.push(row(label, element("span", { className: "end" }, ...badges, " ", more)));
  if (open.has(list.name)) rows.push(points(list, found));
  return rows;
}

function points(list, found) {
  const box = element("div", { className: "points" });
  if (!list.own && !found.why_not) {
    const copy = element("button", {}, "Copy and edit…");
    copy.addEventListener("click", () => act("copy", { list: list.name }));
    box.append(copy);
  }
  ask(`${address()}/points/${encodeURIComponent(list.name)}`).then((answer) => {
    for (const [id, x, y, z, score] of answer.points.slice(0, 5000)) {
      const place = [x, y, z].map((v) => (inNm ? (v / 10).toFixed(2) : v.toFixed(1))).join("  ");
      const go = element("button", { title: `Score ${score}` }, `${place} ${inNm ? "nm" : "Å"}`);
      go.addEventListener("click", () => act("go", { list: list.name, point: id }));
      box.append(go);
    }
    if (answer.points.length > 5000) box.append(`and ${answer.points.length - 5000} more`);
  });
  return box;
}

function layer(shown, found) {
  const box = element("input", { type: "checkbox", checked: shown.visible });
  box.addEventListener("change", () => act("show", { names: [shown.name], visible: box.checked }));
  const several = new Set([...found.layers, ...found.lists].map((l) => l.layer).filter(Boolean)).size > 1;
  const stored = several && shown.layer ? [element("span", { className: "end dim small" }, shown.layer)] : [];
  return row(element("label", { title: shown.layer ? `${shown.name} in layer ${shown.layer}` : shown.name }, box, shown.name), ...stored);
}

function tomogram(found) {
  const levels = Array.from({ length: found.levels }, (_, n) => String(n));
  const unit = choice(["Å", "nm"], inNm ? "nm" : "Å", (value) => {
    inNm = value === "nm";
    shown = null;
    show(latest);
  });
  return [
    row(choice(found.tomograms, found.tomogram, (value) => act("tomogram", { address: value, level: 0 }), "tomogram")),
    row(
      "Finest level",
      choice(levels, String(found.level), (value) => act("tomogram", { address: found.tomogram, level: Number(value) }), "level"),
      element("span", { className: "end" }, "Unit ", unit),
    ),
  ];
}

function legend(object) {
  const facts = [];
  if (object.radius) facts.push(inNm ? `r ${object.radius / 10} nm` : `r ${object.radius} Å`);
  if (object.label !== null) facts.push(`label ${object.label}`);
  return row(swatch(object.color), object.name, element("span", { className: "end small" }, facts.join(", ")));
}

function reviews(found) {
  const names = ["", ...found.objects.filter((o) => o.points).map((o) => o.name)];
  return names
    .filter((name) => found.reviews[name])
    .map((name) => {
      const review = found.reviews[name];
      const select = choice(found.states, review.state, (state) => act("review", { object: name, state }), `review-${name}`);
      return row(element("label", { title: review.text }, name || "whole run"), element("span", { className: "end" }, select));
    });
}

function showQuestion(question) {
  const box = $("question");
  if (!question) {
    box.hidden = true;
    return;
  }
  if (box.dataset.number === String(question.number) && !box.hidden) return;
  box.dataset.number = question.number;
  const name = element("input", { placeholder: "another session", id: "session" });
  const buttons = Object.entries(question.choices).map(([choice, text], index) => {
    const button = element("button", { className: index ? "" : "main" }, text);
    button.dataset.choice = choice;
    button.addEventListener("click", () => act("answer", { number: question.number, choice, session: name.value || null }));
    return button;
  });
  const asksName = question.kind === "conflict";
  box.replaceChildren(element("p", {}, question.text), row(...buttons, ...(asksName ? [name] : [])));
  box.hidden = false;
}

// ------------------------------------------------------------------ the address

function encode(view) {
  return btoa(unescape(encodeURIComponent(JSON.stringify(view))));
}

function decode(text) {
  try {
    return JSON.parse(decodeURIComponent(escape(atob(text))));
  } catch {
    return null;
  }
}

function route() {
  clearInterval(timer);
  run = null;
  const [name, view] = location.hash.slice(1).split("!");
  if (!name) {
    showRuns().catch(complain);
    return;
  }
  showRun(decodeURIComponent(name), view ? decode(view) : null);
  timer = setInterval(follow, 1000);
}

async function copyLink() {
  const found = await ask(address());
  const link = `${location.href.split("#")[0]}#${encodeURIComponent(run)}!${encode(found.view)}`;
  history.replaceState(null, "", link);
  try {
    await navigator.clipboard.writeText(link);
    $("link").textContent = "Copied";
  } catch {
    $("link").textContent = "It is in the address bar";
  }
  setTimeout(() => ($("link").textContent = "Copy link"), 2000);
}

$("home").addEventListener("click", () => (location.hash = ""));
$("store").addEventListener("click", () => act("store"));
$("undo").addEventListener("click", () => act("undo"));
$("link").addEventListener("click", copyLink);
$("help").addEventListener("click", () => ($("keys").hidden = !$("keys").hidden));
$("keys-close").addEventListener("click", () => ($("keys").hidden = true));
window.addEventListener("hashchange", route);

// Keys work wherever the focus is, in the viewer's frame too; it is a page of the same origin.
function listen(target) {
  target.addEventListener(
    "keydown",
    (event) => {
      const writes = event.target.closest?.("input, textarea, [contenteditable]");
      const action = event.ctrlKey || event.metaKey ? { s: "store", z: "undo" }[event.key] : { Delete: "delete" }[event.key];
      if (run === null || !action || (writes && action !== "store")) return;
      event.preventDefault();
      event.stopPropagation();
      act(action);
    },
    true,
  );
}
listen(document);
$("viewer").addEventListener("load", () => listen($("viewer").contentDocument));
route();
