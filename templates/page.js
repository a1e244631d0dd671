// What a page does with script: figures that change by themselves, buttons that copy, and the light for
// a first share. Without script everything is there, too; it is as of when the page was loaded.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  const text = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      // Without https a browser gives no clipboard: the text is selected instead.
      const range = document.createRange();
      range.selectNodeContents(button.previousElementSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = text; }, 1500);
  });
}

const source = document.body.dataset.live;
if (source) {
  const state = document.querySelector("[data-live-state]");
  const word = state.querySelector("b");
  const events = new EventSource(source);
  const show = (on) => {
    state.hidden = false;
    state.classList.toggle("on", on);
    word.textContent = on ? word.dataset.on : word.dataset.off;
  };
  events.addEventListener("open", () => show(true));
  events.addEventListener("error", () => show(false));

  events.addEventListener("figures", (event) => {
    const figures = JSON.parse(event.data);
    for (const pool of document.querySelectorAll("[data-pool]")) {
      for (const place of pool.querySelectorAll("[data-figure]")) {
        const text = figures[pool.dataset.pool + ":" + place.dataset.figure];
        if (text !== undefined && place.textContent !== text) place.textContent = text;
      }
    }
  });

  // Pieces that the server has made, with all names in them escaped.
  events.addEventListener("parts", (event) => {
    for (const [id, html] of Object.entries(JSON.parse(event.data))) {
      const place = document.getElementById(id);
      // What somebody is at stays until they leave it.
      if (!place.contains(document.activeElement)) place.innerHTML = html;
      const now = place.querySelector("[data-now]");
      const shown = document.querySelector("[data-mode]");
      // The forms are those of another mode.
      if (now && shown && now.dataset.now !== shown.dataset.mode) location.reload();
    }
  });

  events.addEventListener("miner", (event) => {
    const miner = JSON.parse(event.data);
    const set = (name, text) => {
      for (const place of document.querySelectorAll(`[data-miner="${name}"]`)) {
        if (place.textContent !== text) place.textContent = text;
      }
    };
    set("connected", String(miner.connected));
    set("rejected", String(miner.rejected));
    if (miner.last_share) set("last", miner.last_share.replace("T", " ").replace("Z", " UTC"));
    const light = document.querySelector("[data-await]");
    if (!light) return;
    const came = miner.accepted > 0;
    light.classList.toggle("came", came);
    light.querySelector("b").textContent =
      came ? light.dataset.came : miner.connected > 0 ? light.dataset.connected : light.dataset.waiting;
    if (came && light.hasAttribute("data-reload")) location.reload();
  });
}
