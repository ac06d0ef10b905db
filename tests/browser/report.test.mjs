// The HTML report in a real Chromium. DEPUTIZE is the program, CHROMIUM the browser.
// How long filtering takes is printed, never judged: machines differ.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import AxeBuilder from "@axe-core/playwright";
import { chromium } from "playwright-core";

import { HOSTILE, hostile, many } from "./manifests.mjs";

const program = process.env.DEPUTIZE;
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
// The tests may run as a copy beside their packages, outside the checkout.
const root = process.env.CHECKOUT ?? fileURLToPath(new URL("../..", import.meta.url));
const args = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let browser;
let directory;
const pages = {};

function write(name, arguments_, input) {
  const page = execFileSync(program, ["report", "--format", "html", ...arguments_], {
    cwd: root,
    input,
    maxBuffer: 1 << 30,
    stdio: ["pipe", "pipe", "ignore"],
  });
  const path = join(directory, `${name}.html`);
  writeFileSync(path, page);
  pages[name] = pathToFileURL(path).href;
}

before(async () => {
  assert.ok(program, "DEPUTIZE names the program");
  directory = mkdtempSync(join(tmpdir(), "deputize-browser-"));
  const used = ["testdata/platform", "--audit-log", "testdata/platform-audit.log", "--kube-version", "1.35"];
  write("platform", ["testdata/platform"]);
  write("used", used);
  write("empty", ["testdata/platform/apps/shipping-api"]);
  write("hostile", ["-"], hostile());
  write("many", ["-"], many(5000));
  browser = await chromium.launch({ executablePath, args });
});

after(async () => {
  await browser?.close();
  if (directory) rmSync(directory, { recursive: true, force: true });
});

/** Opens a page, and fails if it asks for anything or complains of anything. */
async function open(name, options, use) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const requests = [];
  const complaints = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`refused: ${event.violatedDirective}`));
  });
  await page.goto(pages[name]);
  await use(page);
  const own = (url) => url.split("#")[0] === pages[name] || url === "data:,";
  assert.deepEqual(requests.filter((url) => !own(url)), [], "it asks for something");
  assert.deepEqual(complaints, []);
  await context.close();
}

for (const name of ["platform", "used", "empty", "hostile"]) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 390]) {
      test(`axe finds nothing in ${name}, ${colorScheme}, ${width} wide`, async () => {
        await open(name, { colorScheme, viewport: { width, height: 844 } }, async (page) => {
          const { violations } = await new AxeBuilder({ page }).analyze();
          const seen = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join("\n  ")}`);
          assert.deepEqual(seen, []);
          // Tables scroll in their own boxes; the page itself never does.
          assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it is too wide");
        });
      });
    }
  }
}

const rows = (page) => page.locator("#list tbody tr");

test("the table is filtered and sorted by keyboard", async () => {
  await open("used", {}, async (page) => {
    const all = await rows(page).count();
    assert.ok(all >= 20);
    await page.locator("#filter").focus();
    await page.keyboard.type("GITOPS any");
    assert.equal(await rows(page).count(), 1);
    assert.equal(await page.locator("#count").textContent(), `1 of ${all} grants`);
    assert.equal(await page.locator("#count").getAttribute("role"), "status");
    await page.keyboard.press("Control+A");
    await page.keyboard.press("Delete");
    await page.keyboard.press("Tab");
    await page.keyboard.type("not seen");
    const outcome = await page.locator("#outcome").inputValue();
    assert.equal(outcome, "never");
    const never = await rows(page).count();
    assert.ok(never > 0 && never < all);
    await page.locator("#outcome").selectOption("");
    // The heading of the column of steps is reached by tabs alone.
    const heading = page.locator("#list thead button", { hasText: "Steps" });
    for (let tabs = 0; tabs < 12 && !(await heading.evaluate((one) => one === document.activeElement)); tabs++) {
      await page.keyboard.press("Tab");
    }
    await page.keyboard.press("Enter");
    const steps = () => page.locator("#list tbody td:nth-last-child(2)").allTextContents();
    const sorted = (list) => [...list].sort((a, b) => (a === "–" ? 99 : +a) - (b === "–" ? 99 : +b));
    assert.deepEqual(await steps(), sorted(await steps()));
    assert.equal(await heading.locator("..").getAttribute("aria-sort"), "ascending");
    await page.keyboard.press("Space");
    assert.deepEqual(await steps(), sorted(await steps()).reverse());
    assert.equal(await heading.locator("..").getAttribute("aria-sort"), "descending");
  });
});

test("the drawing leads to the words, and shows whose way a line is", async () => {
  await open("platform", {}, async (page) => {
    const link = page.locator(".graph a", { hasText: "gitops-controller" });
    await link.focus();
    // Itself, and the three whom it becomes on its way.
    assert.equal(await page.locator(".graph .node.on").count(), 4);
    await page.keyboard.press("Enter");
    const target = page.locator("tr:target");
    assert.match(await target.textContent(), /gitops-controller/);
    assert.match(await target.textContent(), /runs deployments as/);
  });
});

test("hostile names stay text", async () => {
  for (const javaScriptEnabled of [true, false]) {
    await open("hostile", { javaScriptEnabled }, async (page) => {
      assert.equal(await page.title(), "Impersonation: upgrade report");
      assert.equal(await page.locator("img, b, iframe, object, main script, main style").count(), 0);
      assert.equal(await page.locator("script").count(), 1);
      assert.equal(await page.locator("[onerror], [onload], [style], a[href^='javascript']").count(), 0);
      const text = await page.locator("main").textContent();
      for (const name of HOSTILE.slice(0, 6)) assert.ok(text.includes(name), name);
      assert.ok(text.includes("\\u{202e}right\\u{2066}to\\u{200b}left\\u{1b}[31m"));
      assert.doesNotMatch(await page.content(), /[\u202a-\u202e\u2066-\u2069\u200b\u001b]/);
    });
  }
});

test("without scripts everything is there", async () => {
  await open("many", { javaScriptEnabled: false }, async (page) => {
    assert.equal(await rows(page).count(), 5000);
    assert.equal(await page.locator(".controls").isVisible(), false);
    assert.equal(await page.locator(".graph .node").first().isVisible(), true);
  });
});

test("it prints", async () => {
  await open("platform", {}, async (page) => {
    const pdf = await page.pdf({ preferCSSPageSize: true });
    assert.equal(pdf.subarray(0, 5).toString(), "%PDF-");
    await page.emulateMedia({ media: "print" });
    assert.equal(await page.locator(".controls").isVisible(), false);
    assert.equal(await page.locator("#list").isVisible(), true);
  });
  await open("many", {}, async (page) => {
    assert.equal(await rows(page).count(), 100);
    await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
    assert.equal(await rows(page).count(), 5000);
  });
});

test("5,000 grants: how long filtering takes", async (context) => {
  await open("many", {}, async (page) => {
    await page.locator("#filter").focus();
    const measured = await page.evaluate(async () => {
      const input = document.getElementById("filter");
      const handler = [];
      const frame = [];
      const frames = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      for (const text of ["w", "wo", "worker-49", "team-7 product", "", "grant-4", "system", "release-3 users", "zzz", ""]) {
        for (let repeat = 0; repeat < 3; repeat++) {
          await frames();
          input.value = text;
          const start = performance.now();
          input.dispatchEvent(new Event("input", { bubbles: true }));
          handler.push(performance.now() - start);
          await frames();
          frame.push(performance.now() - start);
        }
      }
      const [navigation] = performance.getEntriesByType("navigation");
      return { handler, frame, loaded: navigation.domContentLoadedEventEnd };
    });
    const show = (list) => {
      const sorted = [...list].sort((a, b) => a - b);
      return `median ${sorted[sorted.length >> 1].toFixed(1)} ms, longest ${sorted.at(-1).toFixed(1)} ms`;
    };
    context.diagnostic(`filtering 5,000 grants, the handler: ${show(measured.handler)}`);
    context.diagnostic(`filtering 5,000 grants, from input to the frame after it: ${show(measured.frame)}`);
    context.diagnostic(`the page is ready after ${measured.loaded.toFixed(0)} ms`);
    await page.locator("#filter").fill("worker-4999");
    assert.equal(await page.locator("#count").textContent(), "1 of 5000 grants");
    await page.locator("#filter").fill("");
    await page.locator("#more").click();
    assert.equal(await rows(page).count(), 200);
    assert.equal(await page.locator("#count").textContent(), "5000 grants, the first 200 shown");
  });
});
