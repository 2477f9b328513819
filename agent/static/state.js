"use strict";
// The state of the station, asked for every two seconds. Text is set as text, never as markup.
const texts = JSON.parse(document.getElementById("texts").textContent);
const lang = document.documentElement.lang;

function local(iso) {
  return new Date(iso).toLocaleString(lang, { timeZone: "Asia/Shanghai", hour12: false });
}

function rows(id, table) {
  const body = document.getElementById(id);
  body.replaceChildren(...table.map((cells) => {
    const row = document.createElement("tr");
    for (const cell of cells) {
      const td = document.createElement("td");
      td.textContent = cell === null || cell === undefined ? "–" : typeof cell === "object" ? JSON.stringify(cell) : cell;
      row.append(td);
    }
    return row;
  }));
}

function short(value) {
  return typeof value === "number" ? Number(value.toPrecision(7)).toString() : value;
}

function flat(object) {
  return Object.entries(object || {}).map(([name, value]) => [name, value]);
}

async function refresh() {
  const note = document.getElementById("note");
  const answer = await fetch("/api/status");
  if (answer.status === 401) { location.reload(); return; }
  const state = await answer.json();
  if (state.error) { note.textContent = texts.no_daemon.replace("{error}", state.error); return; }
  document.getElementById("station").textContent = lang.startsWith("zh") ? state.station.name_zh : state.station.name_en;
  note.textContent = `${local(state.now)} · ${texts.log}: ${state.log.records} ${texts.records}` +
    (state.rate === 1 ? "" : ` · ${texts.rate.replace("{rate}", state.rate)}`);
  rows("values", Object.entries(state.values).map(([series, v]) =>
    [series, short(v.value), v.unit, local(v.at), v.causes.join(", ") || texts.good]));
  rows("uplinks", flat(state.uplinks));
  rows("buses", flat(state.buses));
  rows("gas", [[texts.calibration, state.calibration], [texts.maintenance, state.maintenance.held]]);
  const events = await (await fetch("/api/events")).json();
  rows("events", (events.events || []).slice().reverse().map((e) => [local(e.t), e.kind, e.what || e.reason, e.origin || ""]));
}

async function forever() {
  try { await refresh(); } catch (error) { document.getElementById("note").textContent = String(error); }
  setTimeout(forever, 2000);
}
forever();
