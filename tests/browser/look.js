// Looks at each page in the light and in the dark, at a desk and on a phone, by keyboard, and without
// script.
//
//     node look.js '{"origin": …, "screenshots": …, "pages": [PAGE, …], "key": …}'
//
// With a key it logs in as an operator first.
// A page is {"name": …, "path": …, "status": …, "minor": …}. Run by tests/browser.rs. The report says
// how many looks there were, and all faults.
'use strict';

const { join } = require('node:path');
const axe = require('axe-core');
const { open, go, close, run } = require('./watched');

const THEMES = ['light', 'dark'];
const SIZES = { desk: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
// Level AA of WCAG 2.1.
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];
const COLOURS = ['color-contrast', 'link-in-text-block'];
// The most steps by keyboard through a page; lists repeat themselves.
const TABS_MAX = 30;

// What is wider than the screen, with the innermost elements that are.
const overflow = (page) =>
  page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = [...document.querySelectorAll('body *')].filter((element) => {
      const isOut = element.getBoundingClientRect().right > width + 0.5;
      return isOut && !element.closest('.scroll, pre') && !element.querySelector('*');
    });
    return wide.slice(0, 5).map((element) => element.outerHTML.slice(0, 120)).concat('overflow');
  });

// The dark differs in its colours alone.
const accessible = async (page, theme) => {
  const isFirst = theme === THEMES[0];
  const runOnly = isFirst ? { type: 'tag', values: RULES } : { type: 'rule', values: COLOURS };
  await page.evaluate(axe.source);
  const violations = await page.evaluate(async (runOnly) => {
    const found = await axe.run(document, { runOnly, resultTypes: ['violations'] });
    return found.violations.map(({ id, impact, nodes }) => {
      const node = nodes[0];
      return `axe: ${id} (${impact}, ${nodes.length} times): ${node.html.slice(0, 160)}: ` +
        node.failureSummary.replace(/\s+/g, ' ');
    });
  }, runOnly);
  return violations;
};

// What has the focus, and whether one sees that it has.
const focused = (page) =>
  page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const isThere = box.width > 1 && box.height > 1 && box.left >= 0 && box.bottom > 0 &&
      box.top < innerHeight;
    const isMarked = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
    return {
      what: element.outerHTML.slice(0, 100),
      isSkip: element.matches('a.skip'),
      isSeen: isThere && isMarked,
    };
  });

const keyboard = async (page) => {
  const faults = [];
  await page.keyboard.press('Tab');
  const first = await focused(page);
  if (!first || !first.isSkip) faults.push(`the first Tab goes to ${first && first.what}`);
  for (let tabs = 1; tabs < TABS_MAX; tabs += 1) {
    const now = await focused(page);
    if (!now) break;
    if (!now.isSeen) faults.push(`focus is not seen: ${now.what}`);
    await page.keyboard.press('Tab');
  }
  await page.evaluate(() => scrollTo(0, 0));
  await page.focus('a.skip');
  await page.keyboard.press('Enter');
  const at = await page.evaluate(() => document.activeElement.id);
  if (at !== 'page') faults.push(`the skip link leads to "${at}"`);
  return faults;
};

// What a page says to whoever reads it, without what only a script can do and what has changed since.
const told = (page) =>
  page.evaluate(() => {
    for (const details of document.querySelectorAll('details')) details.open = true;
    for (const button of document.querySelectorAll('[data-copy], [data-live-state]')) {
      button.hidden = true;
    }
    for (const place of document.querySelectorAll('[data-figure], [data-miner], [data-await] b, #node-now')) {
      place.textContent = place.textContent.trim() === '' ? 'EMPTY' : '·';
    }
    return document.body.innerText.replace(/\s+/g, ' ');
  });

const logIn = async (context, origin, key) => {
  const { page } = await open(context, origin);
  await page.goto(`${origin}/operator`);
  await page.fill('#key', key);
  await page.click('form button');
  await page.locator('form[action="/operator/logout"]').waitFor();
  await page.close();
};

run(async (browser, { origin, screenshots, pages, key }) => {
  const faults = [];
  let looks = 0;
  const lookIn = async (theme) => {
    for (const [size, viewport] of Object.entries(SIZES)) {
      const settings = { colorScheme: theme, viewport, reducedMotion: 'reduce' };
      const context = await browser.newContext(settings);
      const plain = await browser.newContext({ ...settings, javaScriptEnabled: false });
      if (key) {
        await logIn(context, origin, key);
        await logIn(plain, origin, key);
      }
      for (const { name, path, status, minor } of pages) {
        // What differs little from another page is looked at twice and not four times.
        if (minor && (theme === THEMES[0]) !== (size === 'desk')) continue;
        const watched = await open(context, origin);
        const { page } = watched;
        const response = await go(watched, origin + path, status);
        const html = await response.body();
        const file = join(screenshots, `${name}-${theme}-${size}.png`);
        await page.screenshot({ path: file, fullPage: true });
        watched.faults.push(...(await overflow(page)));
        watched.faults.push(...(await accessible(page, theme)));
        // Neither colours nor a screen change words, or what a key does.
        if (theme === THEMES[0] && size === 'desk') {
          watched.faults.push(...(await keyboard(page)));
          const without = await open(plain, origin);
          // The same answer, so that no figure has changed in between.
          await without.page.route(origin + path, (route) =>
            route.fulfill({ response, status, body: html }));
          await go(without, origin + path, status);
          const [with_, without_] = [await told(page), await told(without.page)];
          if (with_ !== without_) {
            without.faults.push(`says without script: ${without_}\nand with it: ${with_}`);
          }
          if (without_.includes('EMPTY')) without.faults.push('a figure is empty');
          without.faults.push(...(await overflow(without.page)));
          await close(without);
          faults.push(...without.faults.map((fault) => `${name} without script: ${fault}`));
        }
        await close(watched);
        faults.push(...watched.faults.map((fault) => `${name}, ${theme}, ${size}: ${fault}`));
        looks += 1;
      }
      await context.close();
      await plain.close();
    }
  };
  await Promise.all(THEMES.map(lookIn));
  return { looks, faults };
});
