// The page in a real browser, before the real stack. Nothing but loopback can be reached.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { chromium } from "playwright-core";

import { contrastFailures } from "./contrast.mjs";
import { BUILD, Stack, eventually } from "./stack.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];
const SIZES = {
  phone: { width: 390, height: 844 },
  desktop: { width: 1280, height: 800 },
  projector: { width: 1920, height: 1080 },
};

let stack;
let browser;
let page;
let complaints;

// A page that fails its test when the console, a script or the network says anything bad.
async function openPage(options = {}) {
  const context = await browser.newContext({ viewport: SIZES.desktop, ...options });
  const opened = await context.newPage();
  opened.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  opened.on("pageerror", (error) => complaints.push(`script: ${error.message}`));
  opened.on("request", (request) => {
    if (new URL(request.url()).hostname !== "127.0.0.1") complaints.push(`went to ${request.url()}`);
  });
  await opened.goto(stack.url);
  return opened;
}

const text = (selector) => page.locator(selector).innerText();
const number = async (selector) => Number((await text(selector)).replaceAll(",", ""));
const linePath = () => page.locator("#line").getAttribute("d");

before(async () => {
  stack = await new Stack().start();
  browser = await chromium.launch({ executablePath: CHROMIUM, args: QUIET });
}, { timeout: 60000 });

after(async () => {
  await browser?.close();
  await stack?.stop();
});

beforeEach(async () => {
  complaints = [];
  page = await openPage();
});

afterEach(async () => {
  await page.context().close();
});

describe("mining", () => {
  test("one miner with the delays of the lesson shows ~3.3 hashes/second", async () => {
    await eventually("the speed of one miner", async () => (await text("#speed")) === "~3.3 hashes/second", 20000);
    assert.deepEqual(complaints, []);
  });

  test("the graph moves", async () => {
    await eventually("a line of some points", async () => ((await linePath()) ?? "").split("L").length > 5);
    const earlier = await linePath();
    await eventually("the next second", async () => (await linePath()) !== earlier, 3000);
    const box = await page.locator("#line").boundingBox();
    assert.ok(box.height > 20, `the line is ${box.height} high`);
    assert.deepEqual(complaints, []);
  });

  test("the numbers are those of /json", async () => {
    await eventually("the same numbers", async () => {
      const said = await stack.json("/json");
      const shown = [await number("#coins"), await number("#hashes"), await text("#rate")];
      assert.deepEqual(shown, [said.coins, Number(said.hashes), `~${said.rate.toFixed(1)}`]);
      return Number(said.hashes) > 0;
    });
    assert.deepEqual(complaints, []);
  });

  test("a page that is opened later shows the same past", async () => {
    await eventually("a past", async () => (await stack.json("/status.json")).rates.length > 10);
    const later = await openPage();
    await eventually("its line", async () => ((await later.locator("#line").getAttribute("d")) ?? "").split("L").length > 8, 3000);
    await later.context().close();
  });
});

describe("futures", () => {
  test("the page computes by itself and says that both ways are equal", async () => {
    await eventually("the sentence", async () => (await text("#sentence")) === "dataSerial and dataParallel are equal");
    assert.equal(await page.locator("#verdict").getAttribute("data-state"), "equal");
    assert.match(await text("#serial"), /^[\d.]+ (µs|ms)$/);
    assert.match(await text("#parallel"), /^[\d.]+ (µs|ms)$/);
    assert.equal(await text("#count"), "1,000");
    assert.deepEqual(complaints, []);
  });

  test("the button computes again, by keyboard too, and the workers do the work", async () => {
    await eventually("the button is ready", () => page.locator("#again").isEnabled());
    const done = (await stack.json("/status.json")).tasks.done;
    await page.locator("#again").focus();
    await page.keyboard.press("Enter");
    await eventually("1000 more tasks", async () => (await number("#tasks-done")) >= done + 1000, 5000);
    assert.deepEqual(complaints, []);
  });
});

describe("slowest tasks", () => {
  const bar = () => page.locator("#running [role=progressbar]");

  test("a task that runs for a while is shown with its progress until it ends", async () => {
    assert.ok(await page.locator("#slowest").isHidden());
    stack.startProgram("progress", "14000000");
    await eventually("it is there", async () => (await bar().count()) === 1);
    assert.match(await text("#running"), /progress:count_primes/);
    const early = Number(await bar().getAttribute("aria-valuenow"));
    await eventually("it is farther", async () => Number(await bar().getAttribute("aria-valuenow")) > early, 20000);
    for (const [size, viewport] of Object.entries(SIZES)) {
      const view = await openPage({ viewport, colorScheme: size === "desktop" ? "dark" : "light" });
      await eventually("it is there, too", () => view.locator("#slowest").isVisible());
      const path = join(BUILD, "screenshots", `slowest-${size}.png`);
      await view.screenshot({ path, fullPage: true });
      const wide = await view.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wide <= 0, `${wide} px too wide`);
      assert.deepEqual(await view.evaluate(contrastFailures), []);
      await view.context().close();
    }
    await eventually("it is gone", () => page.locator("#slowest").isHidden(), 60000);
    assert.deepEqual(complaints, []);
  });
});

describe("looks", () => {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      test(`${size}, ${colorScheme}`, async () => {
        const folder = join(BUILD, "screenshots");
        const view = await openPage({ viewport, colorScheme, deviceScaleFactor: size === "phone" ? 2 : 1 });
        await mkdir(folder, { recursive: true });
        await eventually("the sentence", async () => (await view.locator("#sentence").innerText()).includes("equal"));
        await view.screenshot({ path: join(folder, `${size}-${colorScheme}.png`), fullPage: size === "phone" });
        const wide = await view.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(wide <= 0, `${wide} px too wide`);
        assert.deepEqual(await view.evaluate(contrastFailures), []);
        await view.context().close();
        assert.deepEqual(complaints, []);
      });
    }
  }
});

describe("trouble", () => {
  const row = (state) => page.locator(`#workers tr[data-state="${state}"]`);

  test("a killed worker goes red within 10 s and stays to be seen", async () => {
    await eventually("two workers", async () => (await row("ready").count()) === 2);
    await stack.kill("worker-2");
    await eventually("a lost worker", async () => (await row("lost").count()) === 1, 10000);
    const cell = row("lost").locator("td").first();
    const [red, green, blue] = await cell.evaluate((td) => getComputedStyle(td).color.match(/\d+/g).map(Number));
    assert.ok(red > 2 * green && red > 2 * blue, `rgb(${red}, ${green}, ${blue})`);
    assert.match(await row("lost").innerText(), /lost/);
    assert.match(await text("#news"), /lost/);
    await page.screenshot({ path: join(BUILD, "screenshots", "lost-worker.png") });
    await sleep(5000);
    assert.equal(await row("lost").count(), 1);
    stack.startWorker("worker-2");
    await eventually("two workers again", async () => (await row("ready").count()) === 2);
    assert.deepEqual(complaints, []);
  });

  test("without Redis the last numbers stay and are marked as old", async () => {
    await eventually("some hashes", async () => (await number("#hashes")) > 0);
    await stack.kill("redis");
    await eventually("the mark", async () => (await text("#link-redis")).includes("stale"), 5000);
    assert.ok((await number("#hashes")) > 0);
    assert.match(await text("#alert"), /Redis does not answer/);
    await page.screenshot({ path: join(BUILD, "screenshots", "redis-away.png") });
    stack.startRedis();
    await eventually("Redis is live", async () => (await text("#link-redis")).includes("live"), 8000);
    assert.ok(await page.locator("#alert").isHidden());
    assert.deepEqual(complaints, []);
  });

  test("without a broker the rest goes on, and the broker is found again", async () => {
    await eventually("the sentence", async () => (await text("#sentence")).includes("equal"));
    // What the page itself has asked for is done: the browser logs every answer of 503.
    await eventually("nothing is being computed", () => page.locator("#again").isEnabled());
    await stack.kill("broker");
    await eventually("the mark", async () => (await text("#link-broker")).includes("away"), 8000);
    assert.match(await text("#alert"), /No news from the broker/);
    assert.ok(await page.locator("#again").isDisabled());
    const before = await number("#hashes");
    await eventually("mining goes on", async () => (await number("#hashes")) > before);
    await page.screenshot({ path: join(BUILD, "screenshots", "broker-away.png") });
    stack.startBroker();
    await eventually("the broker is up", async () => (await text("#link-broker")).includes("up"), 15000);
    await eventually("computing works", () => page.locator("#again").isEnabled(), 15000);
    assert.deepEqual(complaints, []);
  });

  test("without its server the page says so, and recovers", async () => {
    await stack.kill("webui", "SIGTERM");
    await eventually("the alert", async () => (await text("#alert")).includes("own server does not answer"), 8000);
    stack.startWebui();
    await eventually("it is gone", async () => page.locator("#alert").isHidden(), 10000);
    // The browser itself logs each refused connection; scripts must have no error.
    assert.deepEqual(complaints.filter((line) => !line.includes("net::ERR_")), []);
  });
});
