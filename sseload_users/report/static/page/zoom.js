// Show a part of the run in all charts over time.

const LEAST_S = 2; // the shortest part, in seconds
const DRAG = 6; // pixels from which on a pointer that moves selects
const TICKS = 4.5;
const NEAR = 0.34; // the share of the run up to which finer lines are shown, if there are any
const STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200];
const DAY = 86400;

const shown = { from: 0, to: 1 }; // shares of the run
const over = []; // the charts over time

const isWhole = () => shown.to - shown.from === 1;
const inBounds = (value) => Math.min(Math.max(value, 0), 1);
const percent = (share) => `${(100 * share).toFixed(3)}%`;

// "18 s", "12:05", "3:20:09", as in the charts' texts.
function clock(seconds) {
  if (120 > seconds) return `${Number(seconds.toPrecision(3))} s`;
  const whole = Math.round(seconds);
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = two(whole % 60);
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

function showPart(from, to, seconds) {
  const length = Math.min(Math.max(to - from, LEAST_S / seconds), 1);
  const start = Math.min(Math.max((from + to - length) / 2, 0), 1 - length);
  Object.assign(shown, length === 1 ? { from: 0, to: 1 } : { from: start, to: start + length });
  over.forEach((chart) => chart.update());
}

function tickTexts(first, seconds) {
  const [from, to] = [shown.from * seconds, shown.to * seconds];
  const step = STEPS.find((each) => TICKS >= (to - from) / each) ?? DAY * Math.ceil((to - from) / DAY / TICKS);
  const texts = [];
  for (let at = Math.ceil(from / step) * step; to >= at; at += step) {
    const tick = first.cloneNode();
    tick.setAttribute("x", percent((at - from) / (to - from)));
    tick.textContent = clock(at);
    texts.push(tick);
  }
  return texts;
}

// Names of phases stay in the part of their phase that is shown, if it is wide enough.
function placePhase(name, width) {
  const [left, right] = [name.dataset.left, name.dataset.right].map(Number);
  const end = Math.min(right, shown.to);
  const room = ((end - Math.max(left, shown.from)) * width) / (shown.to - shown.from);
  name.setAttribute("x", percent(end));
  name.toggleAttribute("data-off", name.getComputedTextLength() + 12 > room);
}

// Return what the buttons and keys of a chart over time do; `at` returns the share of the run that
// is being read, and `say` tells what is shown.
function zoomable(plot, svg, at, say) {
  const seconds = Number(plot.dataset.seconds);
  const ticks = svg.querySelector(".ticks");
  const [allTicks, first] = [[...ticks.children], ticks.firstElementChild];
  const title = svg.querySelector(".x-name");
  const whole = title.textContent;
  const phases = [...svg.querySelectorAll(".phase-name")].map((name) => [
    name,
    name.getAttribute("x"),
    name.hasAttribute("data-off"),
  ]);
  const range = () => (isWhole() ? [] : [clock(shown.from * seconds), clock(shown.to * seconds)]);

  function update() {
    const length = shown.to - shown.from;
    svg.classList.toggle("zoomed", !isWhole());
    svg.classList.toggle("near", NEAR >= length);
    for (const run of svg.querySelectorAll(".run")) {
      run.setAttribute("x", percent(-shown.from / length));
      run.setAttribute("width", percent(1 / length));
    }
    ticks.replaceChildren(...(isWhole() ? allTicks : tickTexts(first, seconds)));
    title.textContent = isWhole() ? whole : `${whole}: ${range().join(" to ")}`;
    for (const [name, x, off] of phases) {
      name.removeAttribute("data-off");
      if (isWhole()) {
        name.setAttribute("x", x);
        name.toggleAttribute("data-off", off);
      } else {
        placePhase(name, svg.getBoundingClientRect().width);
      }
    }
  }

  function show(from, to) {
    showPart(from, to, seconds);
    say(isWhole() ? "The whole run is shown." : `${range().join(" to ")} is shown.`);
  }
  function by(factor) {
    const length = (shown.to - shown.from) * factor;
    const middle = at() ?? (shown.from + shown.to) / 2;
    show(middle - length / 2, middle + length / 2);
  }
  function move(factor) {
    const way = Math.min(Math.max((shown.to - shown.from) * factor, -shown.from), 1 - shown.to);
    show(shown.from + way, shown.to + way);
  }
  selectable(plot, svg, show);
  over.push({ update });
  return { range, show, by, move, whole: () => show(0, 1) };
}

// Select a part of the run by dragging a pointer over a chart; a finger that moves up or down
// scrolls the page.
function selectable(plot, svg, show) {
  const box = document.createElementNS(svg.namespaceURI, "rect");
  box.setAttribute("class", "selection");
  let start = null;
  const place = (event) => {
    const { left, width } = svg.getBoundingClientRect();
    return inBounds((event.clientX - left) / width);
  };
  const ends = (event) => [start.at, place(event)].sort((a, b) => a - b);
  const end = () => {
    start = null;
    box.remove();
  };
  plot.classList.add("zoomable");
  plot.addEventListener("pointerdown", (event) => {
    if (event.isPrimary) if (event.button === 0) start = { at: place(event), x: event.clientX };
  });
  plot.addEventListener("pointermove", (event) => {
    if (!start) return;
    if (!box.isConnected) {
      if (DRAG > Math.abs(event.clientX - start.x)) return;
      plot.setPointerCapture(event.pointerId);
      box.setAttribute("height", svg.getAttribute("height") - 42);
      svg.append(box);
    }
    const [from, to] = ends(event);
    box.setAttribute("x", percent(from));
    box.setAttribute("width", percent(to - from));
  });
  plot.addEventListener("pointerup", (event) => {
    if (box.isConnected) {
      const length = shown.to - shown.from;
      const [from, to] = ends(event).map((share) => shown.from + share * length);
      show(from, to);
    }
    end();
  });
  plot.addEventListener("pointercancel", end);
  plot.addEventListener("dblclick", () => show(0, 1));
}
