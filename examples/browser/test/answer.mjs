#!/usr/bin/env node
// edge-tx conformance BUNDLE --exec "node test/answer.mjs": the page answers JSON lines, with the
// server gone.

import { createInterface } from "node:readline";

import { phone, settled } from "./browser.mjs";

const { page, server, url, close } = await phone();
try {
  await page.goto(url);
  await settled(page);
  server.close();
  for await (const line of createInterface({ input: process.stdin })) {
    const told = await page.evaluate(async ({ text, pair }) => {
      try {
        const { ids, truncated, outputs } = await edgeTx.model.run(text, pair);
        const lists = Object.entries(outputs).map(([name, data]) => [name, Array.from(data)]);
        return { ids, truncated, outputs: Object.fromEntries(lists) };
      } catch (error) {
        return { error: error.message };
      }
    }, JSON.parse(line));
    console.log(JSON.stringify(told));
  }
} finally {
  await close();
}
