"use strict";
// What every page of the centre shares. Text is set as text, never as markup.
const texts = JSON.parse(document.getElementById("texts").textContent);
const lang = document.documentElement.lang.startsWith("zh") ? "zh" : "en";

async function get(path) {
  const answer = await fetch(path);
  if (answer.status === 401) { location.reload(); }
  if (!answer.ok) { throw new Error(`${path}: ${answer.status}`); }
  return answer.json();
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

function local(iso) {
  return iso ? new Date(iso).toLocaleString(lang === "zh" ? "zh-CN" : "en-GB", { timeZone: "Asia/Shanghai", hour12: false }) : "–";
}

function number(value, digits = 5) {
  return value === null || value === undefined ? "–" : Number(Number(value).toPrecision(digits)).toString();
}

function element(tag, content, className = "") {
  const made = document.createElement(tag);
  if (className) { made.className = className; }
  if (Array.isArray(content)) { made.append(...content); } else if (content !== undefined) { made.textContent = content; }
  return made;
}

function rows(id, table) {
  document.getElementById(id).replaceChildren(...table.map((cells) =>
    element("tr", cells.map((cell) => (cell instanceof Node ? element("td", [cell]) : element("td", cell ?? "–"))))));
}

function quality(causes) {
  return causes ? causes.split(",").join(", ") : texts.good;
}

// Runs `refresh` every `seconds`; a failure is shown and the next try goes on.
function every(seconds, refresh) {
  const turn = async () => {
    try { await refresh(); document.title = document.title.replace(/^⚠ /, ""); }
    catch (error) { console.warn(error); if (!document.title.startsWith("⚠")) { document.title = `⚠ ${document.title}`; } }
    setTimeout(turn, seconds * 1000);
  };
  turn();
}
