#!/usr/bin/env node
// node test/offline.mjs [SCREENSHOTS]: the built app at a phone's size, before and after the
// network is cut, and on damaged bundles.

import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { zipSync } from "fflate";

import { DIST, phone, settled } from "./browser.mjs";

const [shots] = process.argv.slice(2);
const shoot = (page, name) =>
  shots && page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });
const { task } = JSON.parse(await readFile(path.join(DIST, "model", "manifest.json"), "utf8"));

let app;
before(async () => { app = await phone(); });
after(() => app.close());

test("it opens, isolated and with threads", async () => {
  await app.page.goto(app.url);
  await settled(app.page);
  assert.equal(await app.page.evaluate(() => crossOriginIsolated), true);
  assert.match(await app.page.textContent("#status"), /^Ready, works offline · \d threads?$/);
  assert.deepEqual(app.errors, []);
  await shoot(app.page, `${task}-first`);
});

test("it can be installed", async () => {
  const manifest = await app.page.evaluate(async () => {
    const link = document.querySelector("link[rel=manifest]").href;
    return (await fetch(link)).json();
  });
  assert.equal(manifest.display, "standalone");
  for (const icon of manifest.icons) {
    assert.equal(await app.page.evaluate(async (src) => (await fetch(src)).status, icon.src), 200);
  }
  await app.page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
});

test("with the server gone it opens again, and gives the golden answers", async () => {
  await new Promise((resolve) => {
    app.server.close(resolve);
    app.server.closeAllConnections();
  });
  await app.context.setOffline(true);
  await app.page.reload();
  await settled(app.page);
  assert.match(await app.page.textContent("#status"), /^Ready, offline/);
  const proof = await app.page.evaluate(() => edgeTx.prove());
  assert.ok(proof.asked > 0);
  assert.equal(proof.right, proof.asked);
  await app.page.click("#prove");
  await app.page.waitForSelector("#proof.good");
});

test("what people write is answered", async () => {
  const [field, result] = { "sentence-embedding": ["#query", "#notes .best"], "text-classification": ["#text", "#labels .best"] }[task];
  await app.page.fill(field, "where do I park the car's other wheels?");
  const best = await app.page.waitForSelector(result);
  if (task === "sentence-embedding") assert.match(await best.textContent(), /Winter tyres/);
  await shoot(app.page, `${task}-answer`);
  const wide = await app.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `the page is ${wide} pixels wider than the phone`);
});

test("a text that is too long is cut, and the page says so", async () => {
  const [field, hint] = { "sentence-embedding": ["#query", "#hint"], "text-classification": ["#text", "#verdict"] }[task];
  await app.page.fill(field, "word ".repeat(700));
  await app.page.waitForFunction(
    (id) => /only the first \d+ tokens were read/.test(document.querySelector(id).textContent), hint,
  );
});

for (const [name, harm, said] of [
  ["a damaged graph", damage, /is damaged: its sha256 is not the manifest's/],
  ["a newer bundle", age, /has schema 99, and this app reads 1/],
  ["no manifest", (folder) => rm(path.join(folder, "model", "manifest.json")), /connect once/],
]) {
  test(`${name} gives a message`, async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "edge-tx-browser-"));
    await cp(DIST, folder, { recursive: true });
    await harm(folder);
    const other = await phone(folder);
    try {
      await other.page.goto(other.url);
      await settled(other.page);
      assert.match(await other.page.textContent("#reason"), said);
      assert.deepEqual(other.errors, []);
      if (harm === damage) await shoot(other.page, "damaged");
    } finally {
      await other.close();
      await rm(folder, { recursive: true });
    }
  });
}

test("an .etx file is opened, and left again", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "edge-tx-browser-"));
  const other = await phone();
  const choose = async (bytes) => {
    const file = path.join(folder, "mine.etx");
    await writeFile(file, bytes);
    await other.page.setInputFiles("#open", file);
  };
  const said = (pattern) =>
    other.page.waitForFunction((source) => new RegExp(source).test(document.querySelector("#proof").textContent), pattern.source);
  try {
    await other.page.goto(other.url);
    await settled(other.page);
    for (const [members, pattern] of [
      [await packed((name, bytes) => { if (name === "tokenizer.json") bytes[99] ^= 1; }), /tokenizer\.json in mine\.etx is damaged/],
      [await packed((name, bytes) => (name === "manifest.json" ? aged(bytes) : undefined)), /has schema 99/],
      [{ ...(await packed()), "../outside": new Uint8Array(1) }, /holds \.\.\/outside/],
    ]) {
      await choose(zipSync(members, { level: 0 }));
      await said(pattern);
    }
    await choose(Buffer.from("not a zip"));
    await said(/is not a bundle, or is cut off/);
    assert.equal(await other.page.isHidden("#back"), true);

    const renamed = await packed((name, bytes) => (name === "manifest.json" ? named(bytes, "another") : undefined));
    await choose(zipSync(renamed, { level: 0 }));
    await other.page.waitForSelector("#back:not([hidden])", { timeout: 120_000 });
    assert.match(await other.page.getAttribute("#status", "title"), /^another, /);
    const proof = await other.page.evaluate(() => edgeTx.prove());
    assert.equal(proof.right, proof.asked);
    await shoot(other.page, `${task}-opened`);
    await other.page.click("#back");
    await other.page.waitForSelector("#back[hidden]", { state: "attached" });
    await settled(other.page);
    assert.doesNotMatch(await other.page.getAttribute("#status", "title"), /^another, /);
    assert.deepEqual(other.errors, []);
  } finally {
    await other.close();
    await rm(folder, { recursive: true });
  }
});

/** The members of the app's own bundle, its manifest first. */
async function packed(change = () => undefined) {
  const manifest = JSON.parse(await readFile(path.join(DIST, "model", "manifest.json"), "utf8"));
  const records = [...manifest.files, ...manifest.graphs.flatMap((graph) => graph.files)];
  const members = {};
  for (const name of ["manifest.json", ...records.map((record) => record.path).sort()]) {
    const bytes = await readFile(path.join(DIST, "model", name));
    members[name] = change(name, bytes) ?? bytes;
  }
  return members;
}

const edited = (bytes, change) => Buffer.from(JSON.stringify(change(JSON.parse(bytes))));
const aged = (bytes) => edited(bytes, (manifest) => ({ ...manifest, schema: 99 }));
const named = (bytes, name) => edited(bytes, (manifest) => ({ ...manifest, source: { ...manifest.source, name } }));

async function damage(folder) {
  const manifest = JSON.parse(await readFile(path.join(folder, "model", "manifest.json"), "utf8"));
  const { entry } = manifest.graphs[0];
  const file = path.join(folder, "model", entry);
  const bytes = await readFile(file);
  bytes[bytes.length >> 1] ^= 1;
  await writeFile(file, bytes);
}

async function age(folder) {
  const file = path.join(folder, "model", "manifest.json");
  const manifest = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...manifest, schema: 99 }));
}
