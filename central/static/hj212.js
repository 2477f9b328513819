"use strict";
// Outlets of a station, what was said on their links, and the form for commands.
const hj212 = `/api/stations/${station}/hj212`;
const outletBox = document.getElementById("mn");
const commandBox = document.getElementById("cn");
const fieldBox = document.getElementById("fields");
const outcomeBox = document.getElementById("outcome");
let offered = {};

function counts(found) {
  return Object.entries(found).map(([name, count]) => `${name} ${count}`).join(", ");
}

function options(box, choices) {
  if (box.length === choices.length) { return; }
  const before = box.value;
  box.replaceChildren(...choices.map(([value, text]) => {
    const option = element("option", text);
    option.value = value;
    return option;
  }));
  if (choices.some(([value]) => value === before)) { box.value = before; }
}

function chosenCommand() {
  return (offered[outletBox.value] ?? []).find((command) => command.cn === commandBox.value);
}

function offerCommands() {
  options(commandBox, (offered[outletBox.value] ?? []).map((c) => [c.cn, `${c.cn} ${c[`name_${lang}`]}`]));
  const command = chosenCommand();
  put(document.getElementById("areas"), command?.areas.filter(Boolean).join("   |   ") || texts.no_fields);
}

async function refreshDialogue() {
  if (!outletBox.value) { return; }
  const { lines } = await get(`${hj212}/${outletBox.value}/dialogue`);
  rows("dialogue", lines.reverse().map((line) => [
    local(line.at), line.way === "sent" ? "→" : "←", line.cn, line[`name_${lang}`], line.note, element("code", line.text),
  ]));
}

async function refreshOutlets() {
  const found = await get(hj212);
  offered = found.commands;
  rows("outlets", found.outlets.map((o) => [
    o.mn, o.outlet, `${o.edition}${o.encrypted ? " SM4" : ""}`,
    element("span", o.connected ? texts.online : texts.offline, `pill ${o.connected ? "online" : "offline"}`),
    o.last_wall ? local(new Date(o.last_wall * 1000).toISOString()) : "–", element("span", o.uploads, "number"),
    counts(o.refused), counts(o.deviations), counts(o.missing),
  ]));
  rows("items", found.items.map((i) => [i.mn, i.cn, local(i.data_time), i.name, i.value]));
  options(outletBox, found.outlets.map((o) => [o.mn, `${o.outlet} ${o.mn}`]));
  offerCommands();
}

async function sendCommand() {
  const command = chosenCommand();
  if (!command) { return; }
  const said = `${command.cn} ${command[`name_${lang}`]}`;
  if (command.effect === "station" && !confirm(fill(texts.confirm_command, { command: said, mn: outletBox.value }))) { return; }
  put(outcomeBox, "…");
  const answer = await fetch(`${hj212}/${outletBox.value}/send`, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ cn: command.cn, fields: fieldBox.value.split(";").map((f) => f.trim()).filter(Boolean) }),
  });
  const found = await answer.json();
  const outcome = [named("outcome", found.outcome), found.code, found.error, ...(found.data ?? [])];
  put(outcomeBox, answer.ok ? outcome.filter((part) => part !== null && part !== undefined).join(" ") : found.error);
  await refreshDialogue();
}

document.getElementById("command").addEventListener("submit", (event) => {
  event.preventDefault();
  sendCommand().catch((error) => put(outcomeBox, error.message));
});
outletBox.addEventListener("change", () => {
  commandBox.replaceChildren();
  offerCommands();
  refreshDialogue().catch(console.warn);
});
commandBox.addEventListener("change", offerCommands);
every(3, async () => {
  await refreshOutlets();
  await refreshDialogue();
});
