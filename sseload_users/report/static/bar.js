// Keep the bar above Locust's own page up to date, but not while the page is hidden.
(() => {
  "use strict";

  const EVERY_MS = 2000;

  let timer = 0;

  async function refresh() {
    clearTimeout(timer);
    if (document.hidden) return;
    const bar = document.getElementById("sseload");
    let lost = false;
    try {
      const answer = await fetch(bar.dataset.source, { redirect: "manual" });
      if (answer.type === "opaqueredirect") {
        location.reload(); // leads to the login
        return;
      }
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = await answer.text();
      const next = new DOMParser().parseFromString(fresh, "text/html").body;
      for (const selector of [".grade", ".headline", "nav", ".trouble"]) {
        update(bar.querySelector(selector), next.querySelector(selector));
      }
    } catch {
      lost = true;
    }
    document.getElementById("sseload-lost").hidden = !lost;
    timer = setTimeout(refresh, EVERY_MS);
  }

  // What has not changed stays, with the focus in it and without being announced again.
  function update(shown, fresh) {
    shown.className = fresh.className;
    shown.hidden = fresh.hidden;
    if (shown.innerHTML === fresh.innerHTML) return;
    const at = [...shown.querySelectorAll("a")].indexOf(document.activeElement);
    shown.innerHTML = fresh.innerHTML;
    if (at >= 0) shown.querySelectorAll("a")[at]?.focus({ preventScroll: true });
  }

  document.addEventListener("visibilitychange", refresh);
  timer = setTimeout(refresh, EVERY_MS);
})();
