"use strict";
(() => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const words = JSON.parse(document.getElementById("words").textContent);
  const offset = (report.header.offset_h ?? 0) * 3600;
  const dark = matchMedia("(prefers-color-scheme: dark)"), printed = matchMedia("print");
  const LINES = ["#2f7ed8", "#d9822b", "#2a9d63", "#9657c4", "#c9408a", "#5a7d9a", "#8a6d3b", "#0fa3a3", "#b0413e", "#7a9a01", "#6c6cd8", "#444f5a"];
  const LEVELS = { good: "#2a9d63", warn: "#d9962b", bad: "#d0453b", none: "#8895a3" };
  const SHADES = { suspect: "rgba(226,164,43,.22)", out: "rgba(208,69,59,.22)", run: "rgba(90,125,154,.18)",
    substituted: "rgba(150,87,196,.18)", goal: "rgba(42,157,99,.14)" };
  const wall = ts => { const d = new Date((ts + offset) * 1e3);
    return new Date(d.getUTCFullYear(), d.getUTCMonth(), d.getUTCDate(), d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds()); };
  const two = n => String(n).padStart(2, "0");
  const stamp = ts => { const d = new Date((ts + offset) * 1e3);
    return `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())} ${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`; };
  const shown = v => v == null ? "–" : Number(v.toPrecision(6)).toString();
  const rings = new Map();

  function draw(box, chart) {
    const isTime = (chart.x ?? "time") === "time";
    // 2: a break of a line reaches to its own neighbours, over the stamps that only other lines have.
    const joined = uPlot.join(chart.lines.map(line => [line.x, line.y]), chart.lines.map(() => [2, 2]));
    const ink = () => printed.matches || !dark.matches ? "#5b6877" : "#9aa8b7";
    const grid = () => printed.matches || !dark.matches ? "rgba(120,135,150,.22)" : "rgba(150,165,180,.2)";
    const limits = chart.limits ?? [], spans = chart.spans ?? [];
    const bars = chart.lines.some(line => line.shape === "bars");
    const bounds = (u, low, high) => {
      let lo = low ?? 0, hi = high ?? 1;
      for (const one of limits) { lo = Math.min(lo, one.value); hi = Math.max(hi, one.value); }
      if (bars) lo = Math.min(lo, 0);
      const pad = (hi - lo || Math.abs(hi) || 1) * .07;
      return [bars && lo === 0 ? 0 : lo - pad, hi + pad];
    };
    const series = chart.lines.map((line, at) => {
      const colour = LINES[at % LINES.length];
      const paths = { bars: uPlot.paths.bars({ size: [.92, 60] }), steps: uPlot.paths.stepped({ align: 1 }),
        points: () => null }[line.shape ?? "line"];
      return { label: line.name, stroke: colour, width: 1.6, fill: line.shape === "bars" ? colour + "99" : undefined,
        paths, points: { show: line.shape === "points", size: 6, fill: colour }, value: (u, v) => shown(v) };
    });
    const behind = u => {
      const { ctx } = u, { left, top, width, height } = u.bbox;
      ctx.save(); ctx.beginPath(); ctx.rect(left, top, width, height); ctx.clip();
      for (const span of spans) {
        const from = u.valToPos(Date.parse(span.start) / 1e3, "x", true), to = u.valToPos(Date.parse(span.end) / 1e3, "x", true);
        ctx.fillStyle = SHADES[span.shade]; ctx.fillRect(from, top, Math.max(to - from, 2), height);
      }
      for (const limit of limits) {
        const y = u.valToPos(limit.value, "y", true);
        ctx.strokeStyle = LEVELS[limit.level]; ctx.lineWidth = 1.4 * devicePixelRatio; ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
        ctx.beginPath(); ctx.moveTo(left, y); ctx.lineTo(left + width, y); ctx.stroke();
      }
      ctx.restore();
    };
    // Beyond the outermost points, so that of several at one amount none is left out.
    const around = (u, low, high) => { const pad = ((high - low) || Math.abs(high) || 1) * .04; return [low - pad, high + pad]; };
    const sides = (u, low, high) => { const [a, b] = chart.lines[0].x; const half = b > a ? (b - a) / 2 : .5; return [low - half, high + half]; };
    const wide = (u, values) => 24 + 7.5 * Math.max(4, ...(values ?? []).map(one => String(one ?? "").length));
    const family = getComputedStyle(document.body).fontFamily;
    const axis = extra => ({ stroke: ink, font: `12px ${family}`, labelFont: `bold 12px ${family}`, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, ...extra });
    const options = {
      width: box.clientWidth, height: 250, tzDate: wall,
      scales: { x: { time: isTime, ...(bars ? { range: sides } : isTime ? {} : { range: around }) }, y: { range: bounds } },
      axes: [axis(isTime ? { values: timeTicks, space: 84 } : { label: chart.x_title, labelSize: 18, size: 40, values: plain }), axis({ label: chart.unit, labelSize: 18, size: wide, values: plain })],
      series: [{ label: isTime ? words.time : chart.x_title, value: (u, v) => v == null ? "–" : isTime ? stamp(v) : shown(v) }, ...series],
      cursor: { drag: { x: true, y: false } }, hooks: { drawClear: [behind] },
    };
    const plot = new uPlot(options, joined, box);
    rings.set(box, plot);
    box.dataset.drawn = String(chart.lines.reduce((sum, line) => sum + line.x.length, 0));
    const records = chart.lines.map(line => new Map((line.records ?? []).map((one, at) => [line.x[at], one])));
    plot.over.addEventListener("click", () => {
      const at = plot.cursor.idx; if (at == null) return;
      const found = records.map(one => one.get(joined[0][at])).find(one => one != null);
      if (found && document.getElementById(`r-${found[0]}-${found[1]}`)) location.hash = `r-${found[0]}-${found[1]}`;
    });
  }
  // As many decimals as tell neighbouring marks apart.
  function plain(u, splits, axis, space, step) {
    const decimals = Math.min(12, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
    return splits.map(one => one == null ? "" : one.toFixed(decimals));
  }
  function timeTicks(u, splits) {
    const span = splits.length > 1 ? splits[splits.length - 1] - splits[0] : 0;
    return splits.map(ts => { const text = stamp(ts);
      return span > 300 * 86400 ? text.slice(0, 7) : span > 2 * 86400 ? text.slice(5, 10) : text.slice(5, 16); });
  }
  const charts = report.sections.flatMap(section => section.charts ?? []);
  document.querySelectorAll(".plot").forEach(box => draw(box, charts[Number(box.dataset.chart)]));
  const again = () => rings.forEach(plot => plot.redraw());
  dark.addEventListener("change", again); printed.addEventListener("change", again);
  new ResizeObserver(() => rings.forEach((plot, box) => {
    if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: 250 });
  })).observe(document.body);
  const open = () => { const found = location.hash && document.getElementById(location.hash.slice(1)); if (found) { found.open = true; found.scrollIntoView(); } };
  addEventListener("hashchange", open); open();
  document.fonts.ready.then(again);
  document.body.dataset.ready = "yes";
})();
