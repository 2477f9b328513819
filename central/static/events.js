"use strict";
const names = JSON.parse(document.getElementById("names").textContent);
every(3, async () => {
  const { events } = await get("/api/events");
  rows("events", events.map((e) => [
    local(e.at), e.station_id ? link(`/station/${e.station_id}`, names[e.station_id] ?? e.station_id) : "", element("b", named("event", e.what)),
    e.origin, element("span", detail(e.detail), "detail"),
  ]));
  document.getElementById("no-events").hidden = events.length > 0;
});
