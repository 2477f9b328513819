"use strict";
// Stations, instruments, coverage cells, sources with their 95 % position circle, and an extra layer. No tiles: no network.
const box = document.getElementById("map");
const measurands = JSON.parse(box.dataset.measurands);
const meteorology = JSON.parse(box.dataset.meteorology);
const map = L.map(box, { attributionControl: false, zoomSnap: 0.25, preferCanvas: true });
L.control.scale({ imperial: false }).addTo(map);
const legend = L.control({ position: "bottomright" });
legend.onAdd = () => {
  const made = element("div", [document.getElementById("legend").content.cloneNode(true)], "map-legend");
  L.DomEvent.disableClickPropagation(made);
  return made;
};
legend.addTo(map);
const layers = Object.fromEntries(["cells", "sources", "extra"].map((name) => [name, L.layerGroup().addTo(map)]));
const marks = new Map(); // stations, instruments, wind: updated in place, so that an open popup stays open
const CELLS = { covered: "#cfe8d5", weak: "#f6edc8", none: "#e6e9ec" };
const FLAGGED = "#9aa5ae";
let framed = "";
let run = null;
let layer = null;
let sources = [];
let places = [];

// The colour of a value between the site's usual (cool) and its highest (hot).
function shade(value, low, high) {
  const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return `hsl(${200 - 190 * share}, 75%, ${58 - 12 * share}%)`;
}

function kept(key, make) {
  if (!marks.has(key)) { marks.set(key, make().addTo(map)); }
  return marks.get(key);
}

function place(position) {
  return [position.latitude, position.longitude];
}

// The mole fraction by which an instrument is coloured: wet or dry, but of the one gas the map is about.
function gasOf(instrument) {
  const name = measurands.find((measurand) => instrument.values[measurand]);
  return name ? { name, ...instrument.values[name] } : null;
}

function describeInstrument({ station, name, instrument }) {
  const lines = Object.entries(instrument.values).map(([measurand, v]) => element("tr", [
    element("td", [link(`/station/${station.id}?series=${name}.${measurand}`, measurand)]),
    element("td", `${number(v.value)} ${unit(v.unit)}`, "number"), element("td", [qualityMark(v.causes)]),
  ]));
  const newest = Object.values(instrument.values).map((v) => v.at).sort().at(-1);
  return [element("b", `${station[`name_${lang}`]} · ${name}`), element("table", lines), element("div", local(newest), "soft")];
}

function scaleOf(stations) {
  const gases = stations.flatMap((s) => Object.values(s.instruments)).map(gasOf).filter((gas) => gas && gas.value !== null && !gas.causes.length);
  const sorted = gases.map((gas) => gas.value).sort((a, b) => a - b);
  if (!sorted.length) { return null; }
  const low = sorted[Math.floor(sorted.length * 0.25)];
  return { low, high: Math.max(low * 1.1, sorted.at(-1)), unit: gases[0].unit };
}

function drawScale(scale) {
  document.getElementById("scale").hidden = !scale;
  if (!scale) { return; }
  put(document.getElementById("scale-title"), `${measurands.at(-1).toUpperCase()} ${unit(scale.unit)}`);
  put(document.getElementById("scale-low"), number(scale.low, 3));
  put(document.getElementById("scale-high"), number(scale.high, 3));
}

function makeInstrument(position) {
  const content = element("div", []);
  const circle = L.circleMarker(place(position), { radius: 8, weight: 1.5, color: "#fff", fillOpacity: 0.95 });
  circle.describe = () => fillWith(content, describeInstrument(circle.shown));
  return circle.bindPopup(() => { circle.describe(); return content; });
}

function drawInstrument(station, name, instrument, scale) {
  const gas = gasOf(instrument);
  if (!gas) { return; }
  const circle = kept(`${station.id}/${name}`, () => makeInstrument(instrument.position));
  circle.shown = { station, name, instrument };
  const color = gas.causes.length || gas.value === null || !scale ? FLAGGED : shade(gas.value, scale.low, scale.high);
  if (circle.options.fillColor !== color) { circle.setStyle({ fillColor: color }); }
  if (circle.isPopupOpen()) { circle.describe(); }
}

function drawStation(station) {
  const mark = kept(station.id, () => L.marker(place(station.position), { title: station.id, icon: L.divIcon({ className: "station-mark", iconSize: [22, 22] }) })
    .bindTooltip(element("span", station[`name_${lang}`]), { permanent: true, direction: "top", offset: [0, -10], className: "station-name" })
    .on("click", () => { location.href = `/station/${station.id}`; }));
  mark.getElement().dataset.station = station.id;
  mark.getElement().dataset.state = station.state ?? "never";
}

function drawWind(stations) {
  const mast = stations.find((s) => s.id === meteorology?.station)?.instruments[meteorology.mast];
  const speed = mast?.values[meteorology.wind_speed], direction = mast?.values[meteorology.wind_direction];
  if (typeof speed?.value !== "number" || typeof direction?.value !== "number") { return; }
  const arrow = kept("wind", () => L.marker(place(mast.position), { interactive: false, zIndexOffset: -100, icon: L.divIcon({ className: "wind-mark", iconSize: [64, 64], html: "<svg viewBox='-32 -32 64 64'><path d='M0-26V20M0 26l-7-12h14z'/></svg>" }) })
    .bindTooltip(element("span", ""), { permanent: true, direction: "bottom", offset: [0, 26], className: "station-name" }));
  arrow.getElement().firstChild.style.transform = `rotate(${direction.value}deg)`; // points where the wind goes
  arrow.setTooltipContent(element("span", fill(texts.wind, { speed: number(speed.value, 2), direction: Math.round(direction.value) })));
}

function listStations(stations) {
  fillWith(document.getElementById("stations"), stations.map((s) => element("div", [
    link(`/station/${s.id}`, s[`name_${lang}`]), element("span", s.state ? texts[s.state] : texts.never, `pill ${s.state ?? ""}`), element("span", local(s.newest), "soft"),
  ], "station-row")));
}

// Shows everything once, and once more when the first grid is there; then the view is the visitor's.
function frame(stations, cells) {
  const points = [
    ...stations.flatMap((s) => [s.position, ...Object.values(s.instruments).map((i) => i.position)]).map(place),
    ...cells.flatMap((cell) => [[cell.south, cell.west], [cell.north, cell.east]]),
  ];
  const what = cells.length ? "grid" : "stations";
  if (framed === what || !points.length) { return; }
  map.fitBounds(L.latLngBounds(points).pad(cells.length ? 0.02 : 0.12), { maxZoom: 17, animate: false });
  framed = what;
}

function drawStations(stations) {
  const scale = scaleOf(stations);
  drawScale(scale);
  for (const station of stations) {
    for (const [name, instrument] of Object.entries(station.instruments)) { drawInstrument(station, name, instrument, scale); }
    drawStation(station);
  }
  drawWind(stations);
  listStations(stations);
  box.dataset.instruments = marks.size - stations.length - marks.has("wind");
}

function drawCells(cells) {
  layers.cells.clearLayers();
  for (const cell of cells) {
    const seen = cell.detection_kg_h === null ? "" : ` · ${fill(texts.detectable, { rate: number(cell.detection_kg_h, 2) })}`;
    L.rectangle([[cell.south, cell.west], [cell.north, cell.east]], { weight: 0.4, color: "#b3bec7", fillColor: CELLS[cell.state], fillOpacity: 0.8 })
      .bindTooltip(element("span", `${texts[`cell_${cell.state}`]}${seen}`), { sticky: true }).addTo(layers.cells).bringToBack();
  }
  box.dataset.cells = cells.length;
}

function drawSource(source) {
  const at = place(source), label = `${number(source.rate_kg_h, 3)} kg/h`;
  L.circle(at, { radius: Math.max(5, 2.45 * source.position_sd_m), color: "#b3261e", weight: 2, fillOpacity: 0.15, interactive: false }).addTo(layers.sources);
  const mark = L.marker(at, { keyboard: false, icon: L.divIcon({ className: "source-mark", iconSize: [16, 16] }) })
    .bindTooltip(element("span", label), { permanent: true, direction: "right", offset: [8, 0], className: "source-name" }).addTo(layers.sources);
  mark.getElement().dataset.rate = source.rate_kg_h;
}

function describe(source) {
  return element("div", [
    element("b", `${number(source.rate_kg_h, 3)} kg/h`), element("span", run.gas.toUpperCase(), "soft"),
    element("div", `${texts.interval}: ${number(source.low_kg_h, 3)} – ${number(source.high_kg_h, 3)} kg/h`),
    element("div", `${texts.probability}: ${source.probability > 0.999 ? "> 99.9" : number(100 * source.probability, 3)} %`),
    element("div", `${texts.position}: ${source.latitude.toFixed(5)}, ${source.longitude.toFixed(5)} ± ${number(source.position_sd_m, 2)} m`, "soft"),
  ], "source");
}

function drawAttribution(found) {
  run = found.run;
  sources = found.sources;
  drawCells(found.cells);
  layers.sources.clearLayers();
  sources.forEach(drawSource);
  fillWith(document.getElementById("sources"), run && !sources.length ? [element("p", texts.no_source, "soft")] : sources.map(describe));
  if (run) { put(document.getElementById("run"), fill(texts.run_at, { time: local(run.at), start: local(run.from_at), count: run.observations })); }
  listPlaces();
}

function nameOf(feature) {
  return feature.properties?.[`name_${lang}`] ?? feature.properties?.name ?? texts.layer;
}

function drawLayer(collection) {
  layers.extra.clearLayers();
  places = [];
  L.geoJSON(collection, {
    pointToLayer: (feature, at) => {
      places.push({ name: nameOf(feature), at });
      return L.marker(at, { keyboard: false, icon: L.divIcon({ className: "extra-mark", iconSize: [26, 26] }) })
        .bindTooltip(element("span", nameOf(feature)), { permanent: true, direction: "left", offset: [-12, 0], className: "extra-name" });
    },
  }).addTo(layers.extra);
  listPlaces();
}

function listPlaces() {
  document.getElementById("extra").hidden = !places.length;
  fillWith(document.getElementById("extra-places"), places.map(({ name, at }) => {
    const distance = Math.min(...sources.map((source) => map.distance(at, place(source))));
    return element("div", [element("b", name), element("div", sources.length ? fill(texts.nearest, { distance: Math.round(distance) }) : "", "soft")], "source");
  }));
}

map.setView([34, 113], 5);
let cells = [];
let drawnRun = null;
every(2, async () => {
  const found = await get("/api/stations");
  // The grid and the layer are big and change seldom: they are fetched when they did.
  if (found.run !== drawnRun) {
    const attribution = await get("/api/attribution");
    cells = attribution.cells;
    drawAttribution(attribution);
    drawnRun = attribution.stamp;
  }
  frame(found.stations, cells);
  drawStations(found.stations);
  if (found.layer !== layer) {
    drawLayer(await get("/api/layer"));
    layer = found.layer;
  }
});
