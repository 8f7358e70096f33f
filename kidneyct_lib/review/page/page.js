// Puts nbdime's page of a notebook into a frame when it is unfolded, moves the sliders, and unfolds
// what a link leads to.
"use strict";
document.documentElement.classList.add("js");

const text = (id) => document.getElementById(id).textContent;
// Put together so that this script does not end where it names the end of one.
const element = (attributes, content) => `<${"script"} ${attributes}>${content}</${"script"}>`;
const frames = new Map();
let parts; // of nbdime's page, read once

function show(notebook) {
  const place = notebook.querySelector(".frame");
  if (!notebook.open || place.firstChild) return false;
  const { html, script, front } = (parts ??= JSON.parse(text("nbdime")));
  const data = element('id="diff" type="application/json"', text(place.dataset.diff));
  const scripts = [data, element("", script), element("", front)].join("\n");
  const frame = document.createElement("iframe");
  frame.title = `Changes of ${place.dataset.name}`;
  frame.setAttribute("sandbox", "allow-scripts"); // of its own origin: it can't reach this page
  frame.srcdoc = html.replace("%SCRIPTS%", () => scripts);
  place.append(frame);
  frames.set(frame.contentWindow, frame);
  return true;
}

addEventListener("message", ({ source, data }) => {
  const frame = frames.get(source);
  if (!frame || !(data?.height > 0)) return;
  frame.style.height = `${Math.min(data.height, 1e5)}px`;
  if (data.drawn && !frame.dataset.drawn) {
    frame.dataset.drawn = "yes";
    showNext();
  }
});

// Those that are unfolded at first are drawn one after another, so that the first is there soon.
const waiting = [...document.querySelectorAll("details.notebook[open]")];
function showNext() {
  while (waiting.length > 0 && !show(waiting.shift()));
}
showNext();
for (const notebook of document.querySelectorAll("details.notebook")) {
  notebook.addEventListener("toggle", () => waiting.includes(notebook) || show(notebook));
}

for (const figure of document.querySelectorAll(".compared")) {
  const slider = figure.querySelector("input[type=range]");
  const move = () => figure.style.setProperty("--cut", `${slider.value}%`);
  slider.addEventListener("input", move);
  move();
  for (const choice of figure.querySelectorAll("input[type=radio]")) {
    choice.addEventListener("change", () => (figure.dataset.view = choice.value));
  }
}

// On a phone each cell stands on a line of its own, after the name of its column.
for (const table of document.querySelectorAll("table")) {
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  for (const row of table.tBodies[0].rows) {
    [...row.cells].forEach((cell, i) => (cell.dataset.column = names[i]));
  }
}

function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
  }
  target?.scrollIntoView();
}
addEventListener("hashchange", unfold);
if (location.hash) unfold();
