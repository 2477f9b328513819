"use strict";
// Latest values and one chart of a station; both move by themselves.
const station = document.getElementById("station").dataset.station;
const chosen = document.getElementById("series");
const period = document.getElementById("period");
const chartBox = document.getElementById("chart");
let chart = null;
let drawn = "";

function draw(rows, unit) {
  const x = rows.map((r) => Date.parse(r.start) / 1000);
  const mean = rows.map((r) => r.mean);
  const valid = rows.map((r) => (r.causes ? null : r.mean));
  const data = [x, mean, valid];
  const key = `${chosen.value}/${period.value}/${unit}`;
  if (chart && drawn === key) { chart.setData(data); } else {
    chart?.destroy();
    drawn = key;
    chart = new uPlot({
      width: chartBox.clientWidth, height: 320,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Asia/Shanghai"),
      series: [
        { label: texts.time },
        { label: `${texts.value} (${unit})`, stroke: "#c3ccd3", width: 1, points: { size: 3 } },
        { label: texts.good, stroke: "#0b6e8a", width: 2, points: { show: false } },
      ],
      axes: [{}, { size: 70 }],
    }, data, chartBox);
  }
  chartBox.dataset.points = rows.length;
  chartBox.dataset.newest = rows.length ? rows[rows.length - 1].start : "";
}

async function refreshChart() {
  if (!chosen.value) { return; }
  const found = await get(`/api/stations/${station}/averages?period_s=${period.value}&series=${encodeURIComponent(chosen.value)}`);
  draw(found.rows, found.rows.length ? found.rows[found.rows.length - 1].unit : "");
}

function offer(series) {
  if (chosen.options.length === series.length) { return; }
  const kept = chosen.value;
  chosen.replaceChildren(...series.map((name) => element("option", name)));
  chosen.value = series.includes(kept) ? kept : series[0];
}

every(1.5, async () => {
  const found = await get(`/api/stations/${station}/values`);
  offer(found.values.map((v) => v.series));
  rows("values", found.values.map((v) => [v.series, v[`name_${lang}`], number(v.value, 7), v.unit, local(v.at), quality(v.causes)]));
  await refreshChart();
});
for (const control of [chosen, period]) { control.addEventListener("change", () => refreshChart().catch(console.warn)); }
