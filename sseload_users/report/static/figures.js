// Make charts and tables of a page that is one file easier to read: figures at the pointer or by
// arrow keys, series that can be hidden, downloads, and tables that can be sorted and filtered.
// The page is complete without it. It has no less-than sign and no ampersand, so that the page
// remains well-formed XML.
(() => {
  "use strict";

  const CSV = "text/csv";
  const LONG = 10; // rows from which on a table can be filtered

  const made = (name, properties) => Object.assign(document.createElement(name), properties);
  const plain = (element) => element.textContent.replaceAll("\u00a0", " ").trim();

  function download(name, blob) {
    const href = URL.createObjectURL(blob);
    made("a", { href, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
  }

  function csv(table) {
    // A spreadsheet takes a text that begins with one of these signs for a formula.
    const quoted = (text) => `"${text.replace(/^(?=[=+@])/, "'").replaceAll('"', '""')}"`;
    const lines = [...table.rows].map((row) => [...row.cells].map(plain).map(quoted).join(","));
    return lines.join("\r\n") + "\r\n";
  }

  function picture(svg) {
    const { width, height } = svg.getBoundingClientRect();
    const whole = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    whole.setAttribute("class", "chart");
    whole.setAttribute("width", width + 70);
    whole.setAttribute("height", height + 8);
    const style = document.createElementNS(whole.namespaceURI, "style");
    style.textContent = document.querySelector("style").textContent;
    const inner = svg.cloneNode(true);
    inner.querySelectorAll(".hit").forEach((hit) => hit.remove());
    for (const [name, value] of Object.entries({ x: 54, width, overflow: "visible" })) {
      inner.setAttribute(name, value);
    }
    whole.append(style, inner);
    return new Blob([new XMLSerializer().serializeToString(whole)], { type: "image/svg+xml" });
  }

  async function pixels(figure, svg) {
    const image = made("img", { src: URL.createObjectURL(picture(svg)) });
    await image.decode();
    const [width, height] = [2 * image.width, 2 * image.height];
    const canvas = made("canvas", { width, height });
    const context = canvas.getContext("2d");
    context.fillStyle = getComputedStyle(figure.closest(".card") ?? document.body).backgroundColor;
    context.fillRect(0, 0, width, height);
    context.drawImage(image, 0, 0, width, height);
    URL.revokeObjectURL(image.src);
    return new Promise((resolve) => canvas.toBlob(resolve));
  }

  function readable(figure, plot) {
    const hits = [...plot.querySelectorAll(".hit")];
    if (!hits.length) return;
    const said = made("p", { className: "readout" });
    said.setAttribute("role", "status");
    let at = -1;
    const show = (index) => {
      at = Math.min(Math.max(index, 0), hits.length - 1);
      hits.forEach((hit, each) => hit.classList.toggle("at", each === at));
      said.textContent = hits[at].textContent;
    };
    hits.forEach((hit, index) => {
      for (const event of ["pointerenter", "pointerdown"]) {
        hit.addEventListener(event, () => show(index));
      }
    });
    plot.tabIndex = 0;
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", `${plain(figure.querySelector("h2"))}: arrow keys read figures`);
    plot.addEventListener("keydown", (event) => {
      const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: hits.length - 1 };
      if (!(event.key in next)) return;
      event.preventDefault();
      show(next[event.key]);
    });
    plot.after(said);
  }

  function switchable(item, plot) {
    const name = /(?:stroke|fill)-([\w-]+)/.exec(item.querySelector("[class]").getAttribute("class"))[1];
    const button = made("button", { type: "button" });
    button.append(...item.childNodes);
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      const off = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!off));
      for (const mark of plot.querySelectorAll(`.stroke-${name}, .fill-${name}`)) {
        mark.toggleAttribute("data-off", off);
      }
    });
    item.append(button);
  }

  function enhance(figure) {
    const plot = figure.querySelector(".plot");
    const svg = plot.querySelector("svg");
    const tools = made("p", { className: "tools" });
    const offer = (words, action) => {
      const button = made("button", { type: "button", textContent: words });
      button.addEventListener("click", action);
      tools.append(button);
    };
    offer("Figures as CSV", () => {
      download(`${figure.id}.csv`, new Blob([csv(figure.querySelector("table"))], { type: CSV }));
    });
    offer("Chart as SVG", () => download(`${figure.id}.svg`, picture(svg)));
    offer("Chart as PNG", async () => download(`${figure.id}.png`, await pixels(figure, svg)));
    plot.after(tools);
    readable(figure, plot);
    figure.querySelectorAll(".legend li").forEach((item) => switchable(item, plot));
  }

  function value(row, column) {
    const text = plain(row.cells[column]);
    const found = /^[+-]?[\d,]*\.?\d+/.exec(text);
    return found ? Number(found[0].replaceAll(",", "")) : text;
  }

  function compare(one, other) {
    const kinds = [one, other].map((each) => typeof each);
    if (kinds[0] !== kinds[1]) return kinds[0] === "number" ? -1 : 1;
    return kinds[0] === "number" ? one - other : one.localeCompare(other);
  }

  function sortable(table) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.tagName !== "TH") return;
      const button = made("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        body.querySelectorAll(".gap").forEach((row) => row.remove());
        const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column)));
        body.append(...(up ? rows : rows.reverse()));
      });
    });
    if (LONG > body.rows.length) return;
    const filter = made("input", { type: "search", placeholder: "Filter rows", className: "filter" });
    filter.setAttribute("aria-label", "Filter rows");
    filter.addEventListener("input", () => {
      const wanted = filter.value.toLowerCase();
      for (const row of body.rows) row.hidden = !plain(row).toLowerCase().includes(wanted);
    });
    table.closest(".scroll").before(filter);
  }

  document.querySelectorAll("figure.chart").forEach(enhance);
  for (const table of document.querySelectorAll(".scroll table")) {
    const simple = table.tHead ? table.tBodies.length === 1 : false;
    if (simple) if (table.tBodies[0].rows.length > 1) sortable(table);
  }
})();
