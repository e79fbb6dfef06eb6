// Download charts and their figures: of what is shown.

function download(name, blob) {
  const href = URL.createObjectURL(blob);
  made("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}

function csv(table, isShown) {
  // A spreadsheet takes a text that begins with one of these signs for a formula.
  const quoted = (text) => `"${text.replace(/^(?=[=+@])/, "'").replaceAll('"', '""')}"`;
  const rows = [table.tHead.rows[0], ...[...table.tBodies[0].rows].filter((_, at) => isShown(at))];
  const lines = rows.map((row) => [...row.cells].map(plain).map(quoted).join(","));
  return new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" });
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

// The buttons; `range` returns what of the run is shown, for the files' names, or nothing.
function offerDownloads(figure, svg, offer, isShown, range) {
  const name = (kind) => `${[figure.id, ...range()].join("-").replaceAll(/[ :]/g, "")}.${kind}`;
  offer("Figures as CSV", () => download(name("csv"), csv(figure.querySelector("table"), isShown)));
  offer("Chart as SVG", () => download(name("svg"), picture(svg)));
  offer("Chart as PNG", async () => download(name("png"), await pixels(figure, svg)));
}
