"use strict";
// What every live page shares. Text is set as text, never as markup; what has not changed is not touched.
const texts = JSON.parse(document.getElementById("texts").textContent);
const lang = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
const BEIJING_MS = 8 * 3600e3;
const UNITS = { "umol/mol": "ppm", "nmol/mol": "ppb", "ug/m3": "µg/m³", "mg/m3": "mg/m³", "ng/m3": "ng/m³", degC: "°C", deg: "°" };

async function get(path) {
  const answer = await fetch(path);
  if (answer.status === 401) { location.assign("/sign-in"); }
  const found = await answer.json();
  if (!answer.ok) { throw new Error(found.error); }
  return found;
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

// Times are shown in UTC+8, to the second.
function local(iso) {
  return iso ? new Date(Date.parse(iso) + BEIJING_MS).toISOString().slice(0, 19).replace("T", " ") : "–";
}

function number(value, digits = 5) {
  return value === null || value === undefined ? "–" : Number(Number(value).toPrecision(digits)).toString();
}

function unit(name) {
  return UNITS[name] ?? name;
}

// A word of the pages for a name of the program (`cause_stale`); without one, the name itself.
function named(prefix, name) {
  return texts[`${prefix}_${name}`] ?? name;
}

function quality(causes) {
  return causes.length ? causes.map((cause) => named("cause", cause)).join(lang === "zh" ? "、" : ", ") : texts.good;
}

function element(tag, content, className = "") {
  const made = document.createElement(tag);
  if (className) { made.className = className; }
  if (Array.isArray(content)) { made.append(...content); } else if (content !== undefined) { made.textContent = content; }
  return made;
}

function link(href, text) {
  const made = element("a", text);
  made.href = href;
  return made;
}

// A value's quality as a mark: grey where it is good.
function qualityMark(causes) {
  return element("span", quality(causes), causes.length ? "flagged" : "soft");
}

function put(node, content) {
  if (content instanceof Node) {
    if (node.childNodes.length !== 1 || !node.firstChild.isEqualNode(content)) { node.replaceChildren(content); }
    return;
  }
  const text = content === null || content === undefined || content === "" ? "–" : String(content);
  if (node.textContent !== text || node.firstElementChild) { node.textContent = text; }
}

// Makes the children of a node equal to the given ones, in place.
function fillWith(node, children) {
  while (node.childNodes.length > children.length) { node.lastChild.remove(); }
  children.forEach((child, i) => {
    const held = node.childNodes[i];
    if (!held) { node.append(child); } else if (!held.isEqualNode(child)) { held.replaceWith(child); }
  });
}

// Rows of a table's body; a cell is a text or a node.
function rows(id, table) {
  const body = document.getElementById(id);
  while (body.rows.length > table.length) { body.lastElementChild.remove(); }
  table.forEach((cells, i) => {
    const row = body.rows[i] ?? body.insertRow();
    while (row.cells.length > cells.length) { row.lastElementChild.remove(); }
    cells.forEach((cell, j) => put(row.cells[j] ?? row.insertCell(), cell));
  });
}

// An object of unknown members as one line: `name value · name value`.
function detail(object) {
  return Object.entries(object)
    .filter(([, value]) => value !== null && !(typeof value === "object" && Object.keys(value).length === 0))
    .map(([name, value]) => `${name} ${typeof value === "number" ? number(value, 7) : typeof value === "object" ? JSON.stringify(value) : value}`)
    .join(" · ");
}

// Runs `refresh` every `seconds` while the page is looked at; a failure is said, and the next try goes on.
function every(seconds, refresh) {
  const lost = document.getElementById("lost");
  const turn = async () => {
    try {
      if (!document.hidden) { await refresh(); lost.hidden = true; }
    } catch (error) {
      console.warn(error);
      put(lost, fill(texts.lost, { error: error.message }));
      lost.hidden = false;
    }
    setTimeout(turn, seconds * 1000);
  };
  turn();
}
