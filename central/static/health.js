"use strict";
every(3, async () => {
  const found = await get("/api/health");
  rows("health", [[texts.backlog, found.backlog], [texts.age, number(found.p95_age_s, 3)], [texts.dead_letters, found.dead_letters]]);
  rows("ledger", Object.entries(found.ledger).map(([name, verdicts]) => [name, verdicts.map((v) => `${v.verdict}: ${v.count}`).join(", ")]));
});
