"use strict";
every(3, async () => {
  const found = await get("/api/events");
  rows("events", found.events.map((e) => [local(e.at), e.station_id, e.what, e.origin, element("span", JSON.stringify(e.detail))]));
});
