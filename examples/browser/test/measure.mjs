#!/usr/bin/env node
// node test/measure.mjs [ROUNDS]: what the built app costs in Chromium, after `npm run build`:
// milliseconds a text of about 32 and of about 128 tokens, the first visit and the second, and the
// most memory of the page's process.

import { readdirSync, readFileSync } from "node:fs";

import { phone, settled } from "./browser.mjs";

const rounds = Number(process.argv[2] ?? 20);
const mark = `edge-tx-measure-${process.pid}`;

/** The most that a renderer of this browser has held, in MB (Linux only). */
function peak() {
  const own = (pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (!words.includes("--type=renderer") || !words.includes(mark)) return 0;
      return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
    } catch {
      return 0; // it has ended, or is not ours to read
    }
  };
  return Math.round(Math.max(...readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(own)));
}

const median = (values) => values.sort((one, other) => one - other)[values.length >> 1];

const app = await phone(undefined, { launch: [`--user-agent=${mark}`] });
try {
  const visits = [];
  for (const visit of ["goto", "reload"]) {
    const began = performance.now();
    await (visit === "goto" ? app.page.goto(app.url) : app.page.reload());
    await settled(app.page);
    await app.page.evaluate(() => edgeTx.model.run("a text"));
    visits.push(Math.round(performance.now() - began));
  }
  const told = { status: await app.page.getAttribute("#status", "title"), first_visit_ms: visits[0], second_visit_ms: visits[1] };
  for (const words of [30, 126]) {
    const runs = await app.page.evaluate(async ([count, many]) => {
      const text = "word ".repeat(count);
      const tokens = (await edgeTx.model.run(text)).ids.length;
      const times = [];
      for (let turn = 0; turn < many; turn++) times.push((await edgeTx.model.run(text)).ms);
      return { tokens, times };
    }, [words, rounds]);
    told[`tokens_${runs.tokens}_ms`] = { median: Number(median(runs.times).toFixed(1)), least: Number(Math.min(...runs.times).toFixed(1)) };
  }
  console.log(JSON.stringify({ ...told, peak_mb: peak() }));
} finally {
  await app.close();
}
