// Fill in the form as soon as a shape is chosen, without loading the page anew.
(() => {
  "use strict";

  function followTheme() {
    let theme = null;
    try {
      theme = localStorage.getItem("theme");
    } catch {
      // Without access to the storage there is no choice.
    }
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  }

  let latest = 0;

  // What the server answers is put in place part by part: the list of shapes keeps the focus.
  async function fill(form) {
    latest += 1;
    const number = latest;
    const entered = new FormData(form);
    entered.set("fill", "yes");
    let answer = null;
    try {
      answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(entered) });
    } catch {
      return; // The button beside the list says what is wrong.
    }
    const text = await answer.text();
    // Another shape was chosen meanwhile.
    if (!answer.ok || number !== latest) return;
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const open = [...form.querySelectorAll("details[open]")].map((each) => each.dataset.group);
    for (const id of ["notices", "first", "groups"]) {
      document.getElementById(id).replaceChildren(...fresh.getElementById(id).childNodes);
    }
    for (const each of form.querySelectorAll("details")) {
      each.open ||= open.includes(each.dataset.group);
    }
    form.elements.filled.value = fresh.forms[0].elements.filled.value;
  }

  followTheme();
  addEventListener("storage", followTheme);
  const form = document.forms[0];
  document.getElementById("shape").addEventListener("change", () => fill(form));
})();
