"use strict";
// The state of the station, asked for every two seconds.
const HEAD = new Set(["v", "epoch", "seq", "kind", "t", "sim", "what", "origin"]);

function pill(good, yes, no) {
  return element("span", good ? yes : no, `pill ${good ? "online" : "offline"}`);
}

function figure(value, bad) {
  return element("span", value ?? "–", bad ? "number bad" : "number");
}

function runs(calibration) {
  const now = calibration.runs.map((run) => `${run.instrument}: ${run.phase} (${run.port ?? "–"})`);
  const waiting = calibration.waiting.map((one) => fill(texts.waiting, { name: one.sequence }));
  const due = Object.entries(calibration.due).map(([name, at]) => fill(texts.due, { name, at: local(at) }));
  return [...now, ...waiting, ...due].join(" · ") || texts.no_calibration;
}

function lock(held) {
  return held ? `${held.owner}: ${held.reason} (${local(held.since)} – ${held.until ? local(held.until) : ""})` : texts.no_lock;
}

function control(lost) {
  const told = Object.values(lost).map((one) => fill(texts.out_of_control_since, { series: one.series, at: local(one.start) }));
  return told.length ? element("span", told.join(" · "), "flagged") : texts.in_control;
}

function clock(state) {
  const error = state.error_s === null ? "" : fill(texts.clock_error, { error: state.error_s.toFixed(1) });
  const told = [texts[`clock_${state.state}`], error, state.held ? texts.clock_held : ""].filter(Boolean).join(" · ");
  return "SH".includes(state.state) ? told : element("span", told, "flagged");
}

function room(space) {
  const days = space.days_left === null ? "–" : Math.floor(space.days_left);
  const figures = fill(texts.room_free, { used: space.used_GB ?? "–", free: space.free_GB ?? "–", percent: space.percent ?? "–", days });
  if (space.step === "well") { return figures; }
  return element("span", `${texts[`room_${space.step.replaceAll("-", "_")}`]} · ${figures}`, "flagged");
}

function drawState(state) {
  const speed = document.getElementById("speed");
  put(document.getElementById("station"), lang === "zh" ? state.station.name_zh : state.station.name_en);
  speed.hidden = state.rate === 1;
  put(speed, fill(texts.speed, { rate: state.rate }));
  rows("state", [
    [texts.now, local(state.now)],
    [texts.log, fill(texts.records, { count: state.log.records, epoch: state.log.epoch })],
    [texts.clock, clock(state.clock)],
    [texts.room, room(state.space)],
    [texts.calibration, runs(state.calibration)],
    [texts.control, control(state.calibration.out_of_control)],
    [texts.maintenance, state.maintenance.held ? element("span", lock(state.maintenance.held), "flagged") : texts.no_lock],
  ]);
}

function drawBuses(buses) {
  rows("buses", Object.entries(buses).flatMap(([name, bus]) => {
    const head = [name, pill(bus.open, texts.open, texts.closed)];
    const units = Object.entries(bus.units ?? {});
    if (!units.length) { return [[...head, "", "", "", bus.error]]; }
    return units.map(([address, unit], i) => [
      ...(i ? [element("span", ""), element("span", "")] : head), address === "None" ? "" : address,
      figure(unit.requests), figure(unit.timeouts + unit.bad_answers, unit.consecutive_failures > 0), unit.consecutive_failures ? unit.last_error : "",
    ]);
  }));
}

function drawEvents(events) {
  rows("events", events.reverse().map((e) => [
    local(e.t), element("b", named("event", e.what ?? e.reason)), e.origin ?? named("kind", e.kind),
    element("span", detail(Object.fromEntries(Object.entries(e).filter(([name]) => !HEAD.has(name)))), "detail"),
  ]));
}

// The last hour that has ended before a value.
function traced(series, at) {
  const link = element("a", series);
  const before = new Date(Date.parse(at) - 3600e3).toISOString();
  link.href = `/trace?series=${encodeURIComponent(series)}&at=${before}`;
  return link;
}

every(2, async () => {
  const state = await get("/api/status");
  drawState(state);
  rows("values", Object.entries(state.values).map(([series, v]) =>
    [traced(series, v.at), figure(number(v.value, 7)), unit(v.unit), local(v.at), qualityMark(v.causes)]));
  rows("uplinks", Object.entries(state.uplinks).map(([name, up]) =>
    [name, pill(up.connected, texts.connected, texts.not_connected), figure(up.unacknowledged), figure(up.backlog, up.backlog > 1000), figure(up.cosigned), up.last_error]));
  drawBuses(state.buses);
  drawEvents((await get("/api/events")).events);
});
