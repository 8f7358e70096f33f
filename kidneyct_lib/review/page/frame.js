// In the frame of one notebook, before nbdime's own script: answers its only request from the data
// that the page holds, and makes what it draws reachable by keyboard and named for screen readers.
"use strict";
const data = document.getElementById("diff").textContent;
const json = { headers: { "Content-Type": "application/json" } };
window.fetch = async () => new Response(data, json);
// A frame of its own origin may neither read cookies nor change its address; nbdime tries both.
Object.defineProperty(document, "cookie", { value: "" });
history.pushState = history.replaceState = () => {};

// A browser draws no frame of another origin that is out of view; this one is to be whole, and of
// its final height, before a reader scrolls to it.
window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 16);
window.cancelAnimationFrame = clearTimeout;

const UNFOLDS = ".cm-collapsedLines";

function makeReachable() {
  for (const editor of document.querySelectorAll("[role=textbox]:not([aria-label])")) {
    editor.setAttribute("aria-label", "Source of a cell");
    editor.setAttribute("aria-readonly", "true");
  }
  for (const fold of document.querySelectorAll(UNFOLDS)) {
    if (fold.tabIndex >= 0) continue;
    fold.tabIndex = 0;
    fold.setAttribute("role", "button");
  }
}

document.addEventListener("keydown", (event) => {
  const pressed = event.key === "Enter" || event.key === " ";
  if (!pressed || !event.target.matches(UNFOLDS)) return;
  event.preventDefault();
  event.target.click();
});

// The page outside gives the frame the height of what is in it, which it cannot see itself.
function tellHeight() {
  const root = document.getElementById("nbdime-root");
  const height = Math.ceil(root.getBoundingClientRect().bottom + window.scrollY) + 8;
  parent.postMessage({ height, drawn: root.childElementCount > 0 }, "*");
}

addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("nbdime-root");
  let waiting; // what is drawn changes in many small steps; it is looked at when they pause
  const look = () => {
    makeReachable();
    tellHeight();
  };
  const drawn = () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 50);
  };
  new MutationObserver(drawn).observe(root, { attributes: true, childList: true, subtree: true });
  new ResizeObserver(tellHeight).observe(root);
});
