// Make charts easier to read: figures at the pointer or by keys, series that can be hidden, parts of
// the run, and downloads.

// Where a range of the horizontal axis is, in shares of it.
function placeOf(hit) {
  const [from, length] = ["x", "width"].map((name) => parseFloat(hit.getAttribute(name)) / 100);
  return { from, to: from + length };
}

// Show the figures of one range of the horizontal axis at a time.
class Reading {
  constructor(hits, isOverTime) {
    this.hits = hits;
    this.places = hits.map(placeOf);
    this.isOverTime = isOverTime;
    this.at = -1;
    this.said = made("p", { className: "readout" });
    this.said.setAttribute("role", "status");
    hits.forEach((hit, index) => {
      for (const event of ["pointerenter", "pointerdown"]) {
        hit.addEventListener(event, () => this.show(index));
      }
    });
  }

  // Whether a range is in the part of the run that is shown; of other charts, all are.
  isShown(index) {
    const place = this.isOverTime ? this.places[index] : null;
    return place ? [shown.to - place.from, place.to - shown.from].every((each) => each > 1e-9) : true;
  }

  // The middle of the range that is being read, if it is shown.
  middle() {
    const place = this.places[this.at];
    return place ? (this.isShown(this.at) ? (place.from + place.to) / 2 : null) : null;
  }

  show(index) {
    const visible = [...this.hits.keys()].filter((each) => this.isShown(each));
    if (!visible.length) return;
    this.at = Math.min(Math.max(index, visible[0]), visible.at(-1));
    this.hits.forEach((hit, each) => hit.classList.toggle("at", each === this.at));
    this.said.textContent = this.hits[this.at].textContent;
  }

  keys() {
    return {
      ArrowLeft: () => this.show(this.at - 1),
      ArrowRight: () => this.show(this.at + 1),
      Home: () => this.show(0),
      End: () => this.show(this.hits.length - 1),
    };
  }
}

function answerKeys(plot, keys, label) {
  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", label);
  plot.addEventListener("keydown", (event) => {
    if ([event.ctrlKey, event.metaKey, event.altKey].some(Boolean)) return;
    const action = keys[event.shiftKey ? `Shift ${event.key}` : event.key] ?? keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

const styleOf = (item) =>
  /(?:stroke|fill)-([\w-]+)/.exec(item.querySelector("[class]").getAttribute("class"))[1];

// Entries of one style are one series: they are hidden and shown together.
function switchable(item, items, plot) {
  const name = styleOf(item);
  const button = made("button", { type: "button" });
  button.append(...item.childNodes);
  button.setAttribute("aria-pressed", "true");
  button.addEventListener("click", () => {
    const off = button.getAttribute("aria-pressed") === "true";
    for (const each of items.filter((other) => styleOf(other) === name)) {
      each.querySelector("button").setAttribute("aria-pressed", String(!off));
    }
    for (const mark of plot.querySelectorAll(`.stroke-${name}, .fill-${name}`)) {
      mark.toggleAttribute("data-off", off);
    }
  });
  item.append(button);
}

function enhanceChart(figure) {
  if (!figure.querySelector("tbody tr")) return; // There is nothing to read.
  const plot = figure.querySelector(".plot");
  const svg = plot.querySelector("svg");
  const tools = made("p", { className: "tools" });
  const offer = (words, action) => {
    const button = made("button", { type: "button", textContent: words });
    button.addEventListener("click", action);
    tools.append(button);
  };
  const isOverTime = "seconds" in plot.dataset;
  const reading = new Reading([...svg.querySelectorAll(".hit")], isOverTime);
  let keys = reading.keys();
  let label = "arrow keys read figures";
  let range = () => [];
  if (isOverTime) {
    const say = (words) => Object.assign(reading.said, { textContent: words });
    const zoom = zoomable(plot, svg, () => reading.middle(), say);
    const [closer, wider] = [() => zoom.by(0.5), () => zoom.by(2)];
    offer("Zoom in", closer);
    offer("Zoom out", wider);
    offer("Whole run", zoom.whole);
    const later = () => zoom.move(0.5);
    const earlier = () => zoom.move(-0.5);
    const zooming = { "+": closer, "=": closer, "-": wider, 0: zoom.whole, Escape: zoom.whole };
    keys = { ...keys, ...zooming, "Shift ArrowLeft": earlier, "Shift ArrowRight": later };
    label += ", plus and minus zoom all charts over time, shift and arrow keys move them";
    range = zoom.range;
  }
  offerDownloads(figure, svg, offer, (row) => reading.isShown(row), range);
  plot.after(tools);
  if (reading.hits.length) {
    answerKeys(plot, keys, `${plain(figure.querySelector("h2"))}: ${label}`);
    plot.after(reading.said);
  }
  const items = [...figure.querySelectorAll(".legend li")];
  items.forEach((item) => switchable(item, items, plot));
}
