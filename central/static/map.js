"use strict";
// Stations, instruments, coverage cells, sources with their 95 % position circle, and an extra layer. No tiles: no network.
const map = L.map("map", { attributionControl: false, zoomSnap: 0.25, preferCanvas: true });
L.control.scale({ imperial: false }).addTo(map);
const layers = Object.fromEntries(["cells", "instruments", "stations", "sources", "extra"].map((name) => [name, L.layerGroup().addTo(map)]));
const CELLS = { covered: "#cfe8d5", weak: "#f4ecc9", none: "#e3e6e9" };
let framed = false;

function shade(value, low, high) {
  const share = Math.min(1, Math.max(0, (value - low) / (high - low || 1)));
  return `hsl(${200 - 190 * share}, 75%, ${55 - 10 * share}%)`;
}

function popup(title, values) {
  const lines = Object.entries(values).map(([name, v]) => element("div", `${name}: ${number(v.value)} ${v.unit} (${quality(v.causes)})`));
  return element("div", [element("b", title), ...lines]);
}

function drawStations(stations) {
  layers.stations.clearLayers();
  layers.instruments.clearLayers();
  const seen = stations.flatMap((s) => Object.values(s.instruments)).map((i) => i.values.ch4?.value).filter((v) => v !== null && v !== undefined).sort((a, b) => a - b);
  const low = seen[Math.floor(seen.length * 0.25)] ?? 2, high = Math.max(low + 0.3, seen[seen.length - 1] ?? 3);
  for (const station of stations) {
    const at = [station.position.latitude, station.position.longitude];
    L.marker(at, { title: station.id, icon: L.divIcon({ className: "", html: "<div class='station-mark' style='width:14px;height:14px;border-radius:3px;background:#1d2b36;border:2px solid #fff'></div>" }) })
      .bindTooltip(lang === "zh" ? station.name_zh : station.name_en, { permanent: true, direction: "top", offset: [0, -8] })
      .on("click", () => { location.href = `/station/${station.id}`; }).addTo(layers.stations);
    for (const [name, instrument] of Object.entries(station.instruments)) {
      const gas = instrument.values.ch4;
      if (!gas) { continue; }
      L.circleMarker([instrument.position.latitude, instrument.position.longitude],
        { radius: 7, weight: 1, color: "#fff", fillOpacity: 0.95, fillColor: gas.causes ? "#9aa5ae" : shade(gas.value, low, high) })
        .bindPopup(popup(`${station.id} ${name}`, instrument.values)).addTo(layers.instruments);
    }
  }
  if (!framed && stations.length) {
    const points = stations.flatMap((s) => [s.position, ...Object.values(s.instruments).map((i) => i.position)]);
    map.fitBounds(L.latLngBounds(points.map((p) => [p.latitude, p.longitude])).pad(0.1));
    framed = true;
  }
  document.getElementById("stations").replaceChildren(...stations.map((s) => {
    const link = element("a", lang === "zh" ? s.name_zh : s.name_en);
    link.href = `/station/${s.id}`;
    return element("div", [link, element("span", local(s.newest), "soft"), element("span", s.state ? texts[s.state] : texts.never, `pill ${s.state ?? ""}`)], "here-station");
  }));
}

function drawAttribution(found) {
  layers.cells.clearLayers();
  layers.sources.clearLayers();
  for (const cell of found.cells) {
    L.rectangle([[cell.south, cell.west], [cell.north, cell.east]], { weight: 0.3, color: "#b9c3cb", fillColor: CELLS[cell.state], fillOpacity: 0.75 })
      .bindTooltip(`${texts[cell.state]}${cell.detection_kg_h === null ? "" : ` · ≥ ${number(cell.detection_kg_h, 2)} kg/h`}`).addTo(layers.cells);
  }
  if (found.run) {
    document.getElementById("run").textContent = fill(texts.run_at, { time: local(found.run.at), start: local(found.run.from_at), count: found.run.observations });
  }
  const list = document.getElementById("sources");
  if (found.run && !found.sources.length) { list.replaceChildren(element("p", texts.no_source, "soft")); return; }
  list.replaceChildren(...found.sources.map((source) => {
    const at = [source.latitude, source.longitude];
    const label = `${number(source.rate_kg_h, 3)} kg/h`;
    L.circle(at, { radius: Math.max(8, 2.45 * source.position_sd_m), color: "#b3261e", weight: 2, fillOpacity: 0.12 }).addTo(layers.sources);
    L.circleMarker(at, { radius: 6, color: "#b3261e", fillColor: "#b3261e", fillOpacity: 1, className: "source-mark" })
      .bindTooltip(label, { permanent: true, direction: "right" }).addTo(layers.sources);
    return element("div", [
      element("b", label),
      element("div", `${texts.interval}: ${number(source.low_kg_h, 3)} – ${number(source.high_kg_h, 3)} kg/h`),
      element("div", `${texts.probability}: ${number(100 * source.probability, 3)} %`),
      element("div", `${texts.position}: ${source.latitude.toFixed(5)}, ${source.longitude.toFixed(5)} ± ${number(source.position_sd_m, 2)} m`, "soft"),
    ], "source");
  }));
}

function drawExtra(collection) {
  layers.extra.clearLayers();
  L.geoJSON(collection, {
    pointToLayer: (feature, at) => L.circleMarker(at, { radius: 10, color: "#5b2a86", weight: 3, fill: false })
      .bindTooltip(feature.properties?.[`name_${lang}`] ?? feature.properties?.name ?? texts.other, { permanent: true, direction: "left" }),
  }).addTo(layers.extra);
}

map.setView([34, 113], 5);
every(2, async () => drawStations((await get("/api/stations")).stations));
every(3, async () => drawAttribution(await get("/api/attribution")));
every(5, async () => drawExtra(await get("/api/layer")));
