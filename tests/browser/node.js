// Switches a node by its page, as people do: alone, hosting, alone, joined, alone.
//
//     node node.js '{"origin": …, "screenshots": …, "key": …, "url": URL, "name": …}'
//
// Once at a desk in the light and once on a phone in the dark. Run by tests/browser.rs. It says on a line of
// its own what has to happen meanwhile, and waits for a line that says that it did.
'use strict';

const { join } = require('node:path');
const { ask, wait, open, go, close, run } = require('./watched');

const PATH = '/operator/node';
const TURNS = [
  { size: 'desk', theme: 'light', viewport: { width: 1280, height: 900 } },
  { size: 'phone', theme: 'dark', viewport: { width: 390, height: 844 } },
];

const turn = async (browser, task, { size, theme, viewport }) => {
  const { origin, screenshots, key, url, name } = task;
  const context = await browser.newContext({ viewport, colorScheme: theme });
  const watched = await open(context, origin);
  const { page } = watched;
  await go(watched, origin + PATH, 401);
  watched.leaving = true;
  watched.status = 200;
  await page.fill('#key', key);
  await page.click('form button');
  await page.locator('form[action="/operator/logout"]').waitFor();
  await go(watched, origin + PATH);
  const modes = [];
  // A page of another mode is loaded by each switch; what it asked for before ends with it.
  const press = async (button, mode) => {
    watched.leaving = true;
    await button.click();
    await page.locator(`.modes[data-mode="${mode}"]`).waitFor();
    await page.locator('[data-live-state].on').waitFor();
    watched.leaving = false;
    modes.push(mode);
  };
  const named = (text) => page.getByRole('button', { name: text, exact: true });
  const picture = (mode) =>
    page.screenshot({ path: join(screenshots, `node-${mode}-${theme}-${size}.png`), fullPage: true });

  await ask(`looked at solo ${size}`);
  await picture('solo');
  await page.fill('#pool-name', name);
  await page.fill('#pool-fee', '1.5');
  await press(named('Start hosting'), 'host');
  const address = await page.locator('.door code').innerText();
  const hasCode = await page.locator('.door svg.qr').count();
  await ask(`worker ${size}`);
  // The page tells of it by itself.
  await wait(page, () => document.querySelectorAll('#node-now tbody tr').length > 0);
  await wait(page, () => document.querySelector('#node-now dl b').textContent === '1');
  const row = await page.locator('#node-now tbody tr').first().innerText();
  await picture('host');
  await ask(`looked at host ${size}`);
  await press(named('Stop hosting'), 'solo');
  await page.fill('#url', url);
  await page.fill('#worker-name', `own-${size}`);
  await page.selectOption('#profile', 'laptop');
  await press(named('Connect'), 'join');
  await wait(page, () => document.querySelector('#node-now .state.fine + b') !== null);
  const joined = await page.locator('#node-now').innerText();
  await picture('join');
  await ask(`looked at join ${size}`);
  await press(named('Disconnect'), 'solo');
  const log = await page.locator('.log').innerText();
  await close(watched);
  await context.close();
  return { modes, address, hasCode, row, joined, log, faults: watched.faults };
};

run(async (browser, task) => {
  const turns = [];
  for (const one of TURNS) turns.push(await turn(browser, task, one));
  return { turns };
});
