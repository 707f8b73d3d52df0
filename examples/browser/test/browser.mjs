// Opens the built app in Chromium, as a phone.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { serve } from "../serve.mjs";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
export const DIST = fileURLToPath(new URL("../dist", import.meta.url));

/**
 * @param {string} [folder] The built app.
 * @param {object} [options] Of the browser's context, e.g. a color scheme; `launch` has more
 *   arguments of the browser.
 * @returns {Promise<{page: any, context: any, server: any, url: string, errors: string[], close: () => Promise<void>}>}
 */
export async function phone(folder = DIST, { launch = [], ...options } = {}) {
  const executablePath = process.env.CHROMIUM ?? PATHS.find((path) => existsSync(path));
  if (!executablePath) throw new Error("no Chromium: install one, or name it by CHROMIUM");
  const server = await serve(folder, 0);
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", ...launch] });
  const context = await browser.newContext({
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
    ...options,
  });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  const close = async () => {
    await browser.close();
    server.close();
  };
  return { page, context, server, url: `http://127.0.0.1:${server.address().port}/`, errors, close };
}

/** Waits until the model is ready, or the page says why it is not. */
export async function settled(page, timeout = 120_000) {
  await page.waitForFunction(() => "settled" in document.documentElement.dataset, null, { timeout });
}
