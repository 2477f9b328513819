"use strict";
// Latest values and one chart of a station; both move by themselves. The address keeps what is shown.
const station = document.getElementById("station").dataset.station;
const chosen = document.getElementById("series");
const period = document.getElementById("period");
const chartBox = document.getElementById("chart");
const HEIGHT_PX = 340;
const FLAGGED = "#c77700", LINE = "#0b6e8a", BAND = "#0b6e8a22", EDGE = "#0b6e8a33";
let chart = null;
let drawn = "";
let wanted = new URLSearchParams(location.search).get("series");
period.value = new URLSearchParams(location.search).get("period_s") ?? "60";

// Axis labels: the time, with the date where a day begins or the labels do.
function timeLabels(_, splits) {
  let day = "";
  return splits.map((seconds) => {
    const [date, time] = local(new Date(seconds * 1000).toISOString()).split(" ");
    if (period.value === "86400") { return date.slice(5); }
    const label = date === day ? time.slice(0, 5) : `${time.slice(0, 5)}\n${date.slice(5)}`;
    day = date;
    return label;
  });
}

function make(data, name, circular) {
  const value = (_, v) => number(v);
  const dots = uPlot.paths.points();
  return new uPlot({
    width: chartBox.clientWidth, height: HEIGHT_PX,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Asia/Shanghai"),
    series: [
      { label: texts.time, value: (_, seconds) => (seconds === null ? "–" : local(new Date(seconds * 1000).toISOString())) },
      { label: texts.lowest, value, stroke: circular ? undefined : EDGE, points: { show: false } },
      { label: texts.highest, value, stroke: circular ? undefined : EDGE, points: { show: false } },
      { label: `${texts.mean} ${name}`, value, stroke: LINE, width: 2, paths: circular ? dots : undefined, points: { show: circular, size: 4 } },
      { label: texts.flagged, value, stroke: FLAGGED, paths: () => null, points: { show: true, size: 5, fill: FLAGGED } },
    ],
    bands: circular ? [] : [{ series: [2, 1], fill: BAND }],
    axes: [{ values: timeLabels, space: 70, size: 44 }, { size: 70, values: (_, splits) => splits.map((v) => number(v)) }],
  }, data, chartBox);
}

function draw(found) {
  const good = (value, i) => (found.causes[i] ? null : value);
  const data = [
    found.start.map((start) => Date.parse(start) / 1000), found.minimum.map(good), found.maximum.map(good), found.mean.map(good),
    found.mean.map((value, i) => (found.causes[i] ? value : null)),
  ];
  const key = [found.series, found.period_s, found.unit].join("/");
  if (chart && drawn === key) { chart.setData(data); } else {
    chart?.destroy();
    chart = make(data, found.unit ? `(${unit(found.unit)})` : "", found.circular);
    drawn = key;
  }
  document.getElementById("no-points").hidden = data[0].length > 0;
  chartBox.dataset.points = data[0].length;
  chartBox.dataset.newest = found.start.at(-1) ?? "";
}

async function refreshChart() {
  if (!chosen.value) { return; }
  const asked = `period_s=${period.value}&series=${encodeURIComponent(chosen.value)}`;
  const found = await get(`/api/stations/${station}/averages?${asked}`);
  if (found.series === chosen.value && String(found.period_s) === period.value) { draw(found); }
}

function offer(values) {
  if (chosen.length === values.length) { return; }
  const groups = new Map();
  for (const v of values) {
    const instrument = v.series.split(".")[0];
    if (!groups.has(instrument)) { groups.set(instrument, element("optgroup", [])); groups.get(instrument).label = instrument; }
    const option = element("option", `${v.series} · ${v[`name_${lang}`]}`);
    option.value = v.series;
    groups.get(instrument).append(option);
  }
  const before = wanted ?? chosen.value;
  chosen.replaceChildren(...groups.values());
  if (values.some((v) => v.series === before)) { chosen.value = before; }
}

function choose(series) {
  chosen.value = series;
  remember();
}

function remember() {
  wanted = chosen.value;
  const address = `${location.pathname}?series=${encodeURIComponent(chosen.value)}&period_s=${period.value}`;
  history.replaceState(null, "", address);
  const other = document.getElementById("other-language");
  other.href = `${other.href.split("?")[0]}?next=${encodeURIComponent(address)}`;
  refreshChart().catch(console.warn);
}

function seriesButton(series) {
  const made = element("button", series, "link");
  made.dataset.series = series;
  return made;
}

every(2, async () => {
  const { values } = await get(`/api/stations/${station}/values`);
  offer(values);
  rows("values", values.map((v) => [
    seriesButton(v.series), v[`name_${lang}`], element("span", number(v.value, 7), "number"), unit(v.unit), local(v.at), qualityMark(v.causes),
  ]));
  await refreshChart();
});

// Standard gases change by hand, a few times a week.
every(600, async () => {
  const { cylinders } = await get(`/api/stations/${station}/gases`);
  document.getElementById("gases").hidden = !cylinders.length;
  rows("cylinders", cylinders.map((one) => [
    element("span", one.in_use ? one.name : fill(texts.gas_away, { name: one.name }), one.in_use ? "" : "soft"),
    `${one.number} / ${one.fill}`,
    Object.entries(one.values).map(([m, v]) => `${m} ${number(v.value, 8)} ± ${number(v.uncertainty, 3)} ${unit(v.unit)}`).join("; "),
    one.expires ?? "–", element("span", number(one.pressure?.bar, 4), "number"), element("span", number(one.stock.weeks_left, 3), "number"),
    element("span", one.cautions.map((each) => named("caution", each.kind)).join("; "), "flagged"),
  ]));
});
for (const control of [chosen, period]) { control.addEventListener("change", remember); }
document.getElementById("values").addEventListener("click", (event) => {
  if (event.target.dataset.series) { choose(event.target.dataset.series); scrollTo({ top: 0, behavior: "smooth" }); }
});
addEventListener("resize", () => chart?.setSize({ width: chartBox.clientWidth, height: HEIGHT_PX }));
