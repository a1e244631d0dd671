// Does what people do with the pages: copies, waits for a first share, watches figures change.
//
//     node act.js '{"origin": …, "screenshots": …, "awaited": ADDRESS, "unknown": ADDRESS}'
//
// Run by tests/browser.rs. It says on a line of its own what has to happen at the pool, and waits for
// a line that says that it did.
'use strict';

const { join } = require('node:path');
const { UNTRUSTED_HOST, ask, wait, open, go, close, run } = require('./watched');

// Presses every button that copies, and reads the clipboard after each.
const copy = async (browser, origin, path) => {
  const trusted = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
  const reader = await open(trusted, origin);
  await go(reader, origin + '/');
  const plain = origin.replace('127.0.0.1', UNTRUSTED_HOST);
  const faults = [];
  let copied = 0;
  // A browser gives no clipboard where there is no https, as in a network at home.
  for (const from of [origin, plain]) {
    const context = from === origin ? trusted : await browser.newContext();
    const watched = await open(context, from);
    const { page } = watched;
    await go(watched, from + path);
    await page.evaluate(() => {
      for (const details of document.querySelectorAll('details')) details.open = true;
    });
    const buttons = await page.locator('button[data-copy]').all();
    for (const button of buttons) {
      const wanted = await button.getAttribute('data-copy');
      await page.bringToFront();
      const pressed = await button.elementHandle();
      // The word stands there for a moment only, so that it was there is kept.
      await pressed.evaluate((one) => {
        new MutationObserver(() => {
          one.wasDone ||= one.textContent === one.dataset.done;
        }).observe(one, { childList: true });
      });
      await button.click();
      await wait(page, (one) => one.wasDone, pressed);
      await reader.page.bringToFront();
      const held = await reader.page.evaluate(() => navigator.clipboard.readText());
      if (held !== wanted) faults.push(`copied "${held}" and not "${wanted}" at ${from}`);
      copied += 1;
    }
    await close(watched);
    faults.push(...watched.faults);
  }
  await close(reader);
  await trusted.close();
  return { copied, faults: [...faults, ...reader.faults] };
};

// The light on the page for connecting goes on, and a page of an unknown address becomes its page.
const light = async (context, origin, task) => {
  const watched = await open(context, origin);
  const { page } = watched;
  await go(watched, `${origin}/connect?address=${task.awaited}`);
  const lamp = '[data-await]';
  const said = () => page.locator(`${lamp} b`).innerText();
  await page.evaluate(() => { window.stayed = true; });
  await page.locator('[data-live-state].on').waitFor();
  const first = await said();
  await ask('connect');
  await wait(page, (before) => document.querySelector('[data-await] b').textContent !== before, first);
  const second = await said();
  const isEarly = await page.locator(`${lamp}.came`).count();
  await ask('share');
  await page.locator(`${lamp}.came`).waitFor();
  const third = await said();
  await page.screenshot({ path: join(task.screenshots, 'first-share.png') });
  const stayed = await page.evaluate(() => window.stayed === true);
  await close(watched);

  const unknown = await open(context, origin);
  await go(unknown, `${origin}/miners/${task.unknown}`, 404);
  await unknown.page.locator('[data-live-state].on').waitFor();
  unknown.leaving = true;
  await ask('first share of another');
  unknown.status = 200;
  await unknown.page.locator('h1.address').waitFor();
  await close(unknown);
  return {
    said: [first, second, third],
    isEarly,
    stayed,
    faults: [...watched.faults, ...unknown.faults],
  };
};

// Figures on the home page change when a block is found.
const figures = async (context, origin) => {
  const watched = await open(context, origin);
  const { page } = watched;
  await go(watched, origin + '/');
  await page.evaluate(() => { window.stayed = true; });
  await page.locator('[data-live-state].on').waitFor();
  const figure = (name) => page.locator(`[data-figure="${name}"]`).innerText();
  const before = { blocks: await figure('blocks'), height: await figure('height') };
  await ask('block');
  await wait(page, ({ blocks, height }) => {
    const now = (name) => document.querySelector(`[data-figure="${name}"]`).textContent;
    return now('blocks') !== blocks && now('height') !== height;
  }, before);
  const after = { blocks: await figure('blocks'), height: await figure('height') };
  const stayed = await page.evaluate(() => window.stayed === true);
  await close(watched);
  return { before, after, stayed, faults: watched.faults };
};

run(async (browser, task) => {
  const { origin } = task;
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  return {
    copy: await copy(browser, origin, `/connect?address=${task.awaited}`),
    light: await light(context, origin, task),
    figures: await figures(context, origin),
  };
});
