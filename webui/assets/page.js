// Asks /status.json once a second and shows what it says. All state is in the server; a page that is
// opened later, or wakes up again, shows the same.
"use strict";

const POLL_MS = 1000;
const PATIENCE_MS = 4000;
const SVG = "http://www.w3.org/2000/svg";
const POINTS = 250;

const at = (id) => document.getElementById(id);
const group = new Intl.NumberFormat("en");

function show(id, text) {
  const element = at(id);
  if (element.textContent !== text) element.textContent = text;
}

function ago(ms) {
  if (ms < 1500) return "now";
  if (ms < 90e3) return `${Math.round(ms / 1000)} s ago`;
  if (ms < 90 * 60e3) return `${Math.round(ms / 60e3)} min ago`;
  return `${Math.round(ms / 3600e3)} h ago`;
}

function span(ms) {
  return ago(ms).replace(" ago", "");
}

function duration(us) {
  if (us < 10) return `${us.toFixed(1)} µs`;
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1000).toFixed(us < 1e5 ? 1 : 0)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}

// ---- the graph ----

// The smallest of 1, 2, 5 x 10^n at which `lines` steps reach `top`.
function niceStep(top, lines) {
  const rough = Math.max(top, 1e-9) / lines;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999);
}

function label(value, step) {
  if (value >= 10000) return `${value / 1000}k`;
  return value.toFixed(step < 1 ? Math.ceil(-Math.log10(step)) : 0);
}

function svgElement(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// One path for each run of known values: while Redis was away there is a gap.
function paths(values, x, y, floor) {
  let line = "";
  let area = "";
  let start = -1;
  for (let i = 0; i <= values.length; i++) {
    const known = i < values.length && values[i] !== null;
    if (known) {
      line += `${start < 0 ? "M" : "L"}${x(i).toFixed(1)} ${y(values[i]).toFixed(1)}`;
      if (start < 0) start = i;
    } else if (start >= 0) {
      const run = line.slice(line.lastIndexOf("M") + 1);
      area += `M${x(start).toFixed(1)} ${floor}L${run}L${x(i - 1).toFixed(1)} ${floor}Z`;
      start = -1;
    }
  }
  return { line, area };
}

function drawGrid(frame, top, step) {
  const parts = [];
  for (let value = 0; value <= top + step / 2; value += step) {
    const y = frame.y(value);
    parts.push(svgElement("line", { x1: frame.left, x2: frame.right, y1: y, y2: y }));
    parts.push(svgElement("text", { x: frame.left - 8, y: y + 4, "text-anchor": "end" }, label(value, step)));
  }
  for (let seconds = 240; seconds >= 0; seconds -= 60) {
    const x = frame.x(POINTS - 1 - seconds);
    const anchor = seconds === 0 ? "end" : "middle";
    const text = seconds === 0 ? "now" : `${seconds / 60} min ago`;
    if (seconds === 0 || frame.right - frame.left > 480 || seconds % 120 === 0)
      parts.push(svgElement("text", { x, y: frame.bottom + 20, "text-anchor": anchor }, text));
  }
  at("grid").replaceChildren(...parts);
}

let lastRates = [];

function drawGraph(rates) {
  const graph = at("graph");
  const { width, height } = graph.getBoundingClientRect();
  const known = rates.filter((value) => value !== null);
  const highest = Math.max(1, ...known) * 1.12;
  const step = niceStep(highest, height > 260 ? 5 : 4);
  const top = Math.ceil(highest / step - 1e-6) * step;
  const frame = { left: 44, right: width - 10, top: 10, bottom: height - 26 };
  frame.x = (i) => frame.left + ((frame.right - frame.left) * i) / (POINTS - 1);
  frame.y = (value) => frame.bottom - ((frame.bottom - frame.top) * value) / top;

  lastRates = rates;
  if (width < 100) return;
  graph.setAttribute("viewBox", `0 0 ${width} ${height}`);
  drawGrid(frame, top, step);
  const first = POINTS - rates.length;
  const { line, area } = paths(rates, (i) => frame.x(i + first), frame.y, frame.bottom);
  at("line").setAttribute("d", line);
  at("area").setAttribute("d", area);
  const end = rates.length > 0 ? rates[rates.length - 1] : null;
  for (const id of ["tip", "halo"]) {
    at(id).setAttribute("cx", frame.x(POINTS - 1));
    at(id).setAttribute("cy", frame.y(end ?? 0));
    at(id).setAttribute("visibility", end === null ? "hidden" : "visible");
  }
}

// ---- the parts of the page ----

let coinsBefore = null;

function showMining(status) {
  const hashes = Number(status.hashes);
  show("rate", `~${status.rate.toFixed(1)}`);
  show("coins", group.format(status.coins));
  show("coins-unit", status.coins === 1 ? "coin" : "coins");
  show("hashes", group.format(hashes));
  show("luck", status.coins > 0 ? `1 in ${(hashes / status.coins).toFixed(1)}` : "–");
  if (coinsBefore !== null && status.coins > coinsBefore) {
    at("coin").classList.remove("found");
    void at("coin").getBoundingClientRect();
    at("coin").classList.add("found");
  }
  coinsBefore = status.coins;
  for (const card of document.querySelectorAll(".speed .big, .coins .big, .facts"))
    card.classList.toggle("old", status.stale);
  drawGraph(status.rates);
  at("graph").setAttribute(
    "aria-label",
    `Hashes per second over the last 250 seconds, now ${status.rate.toFixed(1)}`,
  );
}

const MARKS = { equal: "M9 16.5l5 5 9-11", different: "M11 11l10 10M21 11l-10 10", none: "M16 9v9M16 23v.1", wait: "M10 16h12" };

function showScoop(scoop) {
  const state = scoop === null ? "wait" : scoop.error ? "none" : scoop.equal ? "equal" : "different";
  at("verdict").dataset.state = state;
  at("verdict-mark").setAttribute("d", MARKS[state]);
  show("sentence", scoop === null ? "not computed yet" : scoop.error || scoop.sentence);
  const computed = scoop !== null && !scoop.error;
  show("serial", computed ? duration(scoop.serial_us) : "–");
  show("parallel", computed ? duration(scoop.parallel_us) : "–");
  show("count", computed ? group.format(scoop.n) : "–");
  show("when", scoop === null ? "–" : ago(scoop.age_ms));
}

function cell(name, text, label) {
  const td = document.createElement("td");
  td.setAttribute("role", "cell");
  if (name) td.className = name;
  if (label) td.dataset.label = label;
  if (text !== undefined) td.textContent = text;
  return td;
}

// A square for each slot; where they are many, one bar.
function slotCell(worker) {
  const td = cell("");
  const box = document.createElement("div");
  box.className = "slots";
  if (worker.slots <= 16) {
    const row = document.createElement("i");
    row.setAttribute("aria-hidden", "true");
    for (let i = 0; i < worker.slots; i++) {
      const slot = document.createElement("b");
      if (i < worker.busy) slot.className = "busy";
      row.append(slot);
    }
    box.append(row);
  } else {
    const bar = document.createElement("div");
    const filled = document.createElement("b");
    bar.className = "bar";
    filled.style.width = `${(100 * worker.busy) / worker.slots}%`;
    bar.append(filled);
    box.append(bar);
  }
  box.append(`${worker.busy} of ${worker.slots}`);
  td.append(box);
  return td;
}

function workerRow(worker) {
  const row = document.createElement("tr");
  const state = document.createElement("span");
  const stateCell = cell("");
  row.setAttribute("role", "row");
  row.dataset.state = worker.state;
  row.dataset.host = worker.host;
  state.className = "state";
  state.textContent = worker.state;
  stateCell.append(state);
  row.append(
    cell("host", worker.host),
    stateCell,
    slotCell(worker),
    cell("number", group.format(worker.done), "Done"),
    cell("number", group.format(worker.failed), "Failed"),
    cell("number", ago(worker.seen_ms), "Seen"),
  );
  return row;
}

const ORDER = ["lost", "silent", "draining", "ready", "left"];
let statesBefore = new Map();

// Say aloud (to screen readers) what changed, not every number.
function tellNews(workers) {
  const states = new Map(workers.map((worker) => [worker.id, worker]));
  const news = [];
  for (const [id, worker] of states) {
    const before = statesBefore.get(id);
    if (statesBefore.size > 0 && (before === undefined || before.state !== worker.state))
      news.push(`Worker ${worker.host} is ${worker.state}.`);
  }
  if (news.length > 0) show("news", news.join(" "));
  statesBefore = states;
}

function showWorkers(status) {
  const order = (worker) => ORDER.indexOf(worker.state);
  const workers = [...status.workers].sort(
    (a, b) => order(a) - order(b) || a.host.localeCompare(b.host, "en", { numeric: true }),
  );
  const alive = workers.filter((worker) => worker.state !== "lost" && worker.state !== "left");
  const slots = alive.reduce((sum, worker) => sum + worker.slots, 0);
  at("workers").replaceChildren(...workers.map(workerRow));
  at("workers-empty").hidden = workers.length > 0;
  show("workers-empty", status.broker.up ? "No worker has come yet." : "The workers are known to the broker alone.");
  document.querySelector(".workers table").hidden = workers.length === 0;
  document.querySelector(".workers table").classList.toggle("old", !status.broker.up);
  show("workers-note", `${alive.length} ${alive.length === 1 ? "host" : "hosts"}, ${slots} ${slots === 1 ? "slot" : "slots"}`);
  for (const key of ["waiting", "running", "done", "failed"])
    show(`tasks-${key}`, group.format(status.tasks[key]));
  tellNews(workers);
}

// A bar as far as the function says it is; without a total the number that is done.
function progressCell(task) {
  const td = cell("progress");
  const box = document.createElement("div");
  const part = task.total > 0 ? Math.min(1, task.done / task.total) : null;
  box.className = "slots";
  if (part !== null) {
    const bar = document.createElement("div");
    const filled = document.createElement("b");
    bar.className = "bar";
    bar.setAttribute("role", "progressbar");
    bar.setAttribute("aria-label", task.function);
    bar.setAttribute("aria-valuenow", Math.floor(100 * part));
    filled.style.width = `${100 * part}%`;
    bar.append(filled);
    box.append(bar, `${Math.floor(100 * part)} %`);
  } else if (task.done > 0) {
    box.append(`${group.format(task.done)} done`);
  } else {
    box.append(task.waiting ? "" : "–");
  }
  if (task.waiting) box.append(" waits for its children");
  td.append(box);
  return td;
}

function runTime(ms) {
  if (ms < 60e3) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000);
  const two = (value) => String(value).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function taskRow(task) {
  const row = document.createElement("tr");
  row.setAttribute("role", "row");
  row.dataset.task = task.id;
  row.append(
    cell("host", task.program ? `${task.program}:${task.function}` : task.function),
    cell("", task.client, "Client"),
    cell("", task.host, "Host"),
    progressCell(task),
    cell("number", group.format(task.attempt), "Try"),
    cell("number", runTime(task.running_ms), "Running for"),
  );
  return row;
}

// Only while there is something that has run for a while.
function showTasks(status) {
  const count = status.running.length;
  at("running").replaceChildren(...status.running.map(taskRow));
  at("slowest").hidden = count === 0;
  at("slowest").querySelector("table").classList.toggle("old", !status.broker.up);
  show("slowest-note", count === 1 ? "the task that runs longest" : `the ${count} tasks that run longest`);
}

function showLink(id, up, text) {
  at(id).dataset.state = up ? "up" : "down";
  at(id).querySelector("b").textContent = text;
}

function showAlert(text) {
  const alert = at("alert");
  if (alert.textContent !== text) alert.textContent = text;
  alert.hidden = text === "";
}

function showLinks(status) {
  const troubles = [];
  if (status.stale) troubles.push("Redis does not answer: these are the last known numbers.");
  if (!status.broker.up) troubles.push(`No news from the broker: ${status.broker.detail}.`);
  showLink("link-redis", !status.stale, status.stale ? "stale" : "live");
  showLink("link-broker", status.broker.up, status.broker.up ? `up ${span(status.broker.uptime_ms)}` : "away");
  showAlert(troubles.join(" "));
  show("version", `scoop ${status.version}`);
}

// ---- asking ----

function ask(path, patience) {
  return fetch(path, { signal: AbortSignal.timeout(patience), cache: "no-store" });
}

async function refresh() {
  try {
    const status = await (await ask("/status.json", PATIENCE_MS)).json();
    showLinks(status);
    showMining(status);
    showScoop(status.scoop);
    showWorkers(status);
    showTasks(status);
    offerComputing(status);
  } catch (error) {
    showAlert(`The page's own server does not answer: ${error.message}`);
  }
}

async function poll() {
  const started = performance.now();
  await refresh();
  setTimeout(poll, Math.max(100, POLL_MS - (performance.now() - started)));
}

let computing = false;
let computed = false;

// Without a worker there is nobody to ask. The first time that there is one, the page asks by itself.
function offerComputing(status) {
  const possible = status.broker.up && status.workers.some((worker) => worker.state === "ready");
  at("again").disabled = computing || !possible;
  if (possible && !computed) compute();
}

async function compute() {
  computing = true;
  computed = true;
  at("again").disabled = true;
  try {
    await (await ask("/scoop", 15000)).text();
  } catch {
    // The next poll says what is wrong.
  }
  computing = false;
  await refresh();
}

at("again").addEventListener("click", compute);
new ResizeObserver(() => drawGraph(lastRates)).observe(at("graph"));
poll();
