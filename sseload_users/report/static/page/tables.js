// Sort and filter tables.

const LONG = 10; // rows from which on a table can be filtered

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

function enhanceTables() {
  for (const table of document.querySelectorAll(".scroll table")) {
    const simple = table.tHead ? table.tBodies.length === 1 : false;
    if (simple) if (table.tBodies[0].rows.length > 1) sortable(table);
  }
}
