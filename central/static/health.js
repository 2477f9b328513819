"use strict";
const names = JSON.parse(document.getElementById("names").textContent);

function judged(text, bad) {
  return element("span", text, bad ? "bad" : "");
}

function programs({ mqtt, hj212, attribution }) {
  const found = [];
  if (mqtt) {
    const state = mqtt.connected ? fill(texts.connected, { count: mqtt.messages }) : `${texts.not_connected}: ${mqtt.last_error ?? ""}`;
    found.push([texts.broker, judged(state, !mqtt.connected)]);
  }
  if (hj212) { found.push([texts.hj212, fill(texts.frames, { count: hj212.connected.length, frames: hj212.frames })]); }
  if (attribution?.at) { found.push([texts.last_attribution, judged(`${local(attribution.at)} ${attribution.error?.split("\n").at(-1) ?? ""}`, attribution.error)]); }
  return found;
}

function verdicts(found) {
  return element("span", found.map((v) => element("span", `${named("verdict", v.verdict)}: ${v.count}`,
    `pill ${["consistent", "cosigned"].includes(v.verdict) ? "online" : v.verdict === "pending" ? "" : "offline"}`)));
}

function refusals(id, found, name) {
  document.getElementById(`${id}-card`).hidden = !found.length;
  rows(id, found.map((r) => [r.source, r[name], r.reason, element("span", r.count, "number")]));
}

every(5, async () => {
  const found = await get("/api/health");
  const age = found.p95_age_s === null ? "–" : fill(texts.seconds, { count: number(found.p95_age_s, 3) });
  rows("health", [
    ...programs(found.programs),
    [texts.backlog, judged(found.backlog, found.backlog > 0)], [texts.age, age],
    [texts.dead_letters, judged(found.dead_letters, found.dead_letters > 0)],
  ]);
  rows("ledger", Object.entries(found.ledger).map(([name, v]) => [names[name], v.length ? verdicts(v) : "–"]));
  refusals("letters", found.letters, "origin");
  refusals("refused", found.refused, "name");
});
