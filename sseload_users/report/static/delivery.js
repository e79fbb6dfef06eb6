// Update the page /delivery: every two seconds during a run, less often otherwise, and not at all
// while it is hidden.
(() => {
  "use strict";

  const RUNNING_MS = 2000;
  const WAITING_MS = 5000;

  // Locust's page stores the choice of the dark or light theme here.
  function followTheme() {
    let theme = null;
    try {
      theme = localStorage.getItem("theme");
    } catch {
      // Without access to the storage there is no choice.
    }
    if (theme === "dark" || theme === "light") {
      document.documentElement.dataset.theme = theme;
    } else {
      delete document.documentElement.dataset.theme;
    }
  }

  const shown = new WeakMap(); // each part's original HTML, before the user opened anything in it
  const FOCUSABLE = "a, button, summary, [tabindex]";

  function replacePart(before, after) {
    const pairs = (selector) => {
      const [left, right] = [before, after].map((part) => [...part.querySelectorAll(selector)]);
      return left.map((each, index) => [each, right[index]]).filter(([, other]) => other);
    };
    for (const [old, fresh] of pairs("details")) fresh.open = old.open;
    const scrolled = pairs(".rows, .scroll").map(([old, fresh]) => [
      fresh,
      old.scrollLeft,
      old.scrollTop,
    ]);
    const focused = pairs(FOCUSABLE).find(([old]) => old === document.activeElement);
    before.replaceWith(after);
    for (const [fresh, left, top] of scrolled) fresh.scrollTo(left, top);
    if (focused) focused[1].focus({ preventScroll: true });
  }

  function update(html) {
    const live = document.getElementById("live");
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    const parts = (root) => [...root.querySelectorAll("[data-part]")];
    const names = (list) => list.map((part) => part.dataset.part).join();
    const [old, next] = [parts(live), parts(fresh)];
    const selection = getSelection();
    if (names(old) !== names(next)) {
      live.replaceChildren(...fresh.childNodes);
    } else {
      old.forEach((before, index) => {
        const after = next[index];
        const source = after.outerHTML;
        if ((shown.get(before) ?? before.outerHTML) === source) return;
        // Keep a part in which the user has selected text.
        if (!selection.isCollapsed && before.contains(selection.anchorNode)) return;
        shown.set(after, source);
        replacePart(before, after);
      });
    }
    document.title = live.querySelector("[data-title]").dataset.title;
  }

  let timer = 0;

  async function refresh() {
    clearTimeout(timer);
    if (document.hidden) return;
    const live = document.getElementById("live");
    let lost = false;
    try {
      const answer = await fetch(live.dataset.source, { redirect: "manual" });
      if (answer.type === "opaqueredirect") {
        location.reload(); // leads to the login
        return;
      }
      if (!answer.ok) throw new Error(answer.statusText);
      update(await answer.text());
    } catch {
      lost = true;
    }
    document.getElementById("lost").hidden = !lost;
    const running = live.querySelector("[data-running='yes']") && !lost;
    timer = setTimeout(refresh, running ? RUNNING_MS : WAITING_MS);
  }

  followTheme();
  addEventListener("storage", followTheme);
  document.addEventListener("visibilitychange", refresh);
  document.addEventListener("DOMContentLoaded", () => {
    timer = setTimeout(refresh, RUNNING_MS);
  });
})();
