// Takes pictures of what a screen shows of some pages, as they stand in README.md.
//
//     node picture.js '{"origin": …, "screenshots": …, "pages": [PAGE, …]}'
//
// A page is {"name": …, "path": …, "theme": "light" or "dark", "width": …, "height": …}. Run by
// tests/browser/crowd.rs.
'use strict';

const { join } = require('node:path');
const { open, go, close, run } = require('./watched');

run(async (browser, { origin, screenshots, pages }) => {
  const faults = [];
  for (const { name, path, theme, width, height } of pages) {
    const settings = { colorScheme: theme, viewport: { width, height }, reducedMotion: 'reduce' };
    const context = await browser.newContext(settings);
    const watched = await open(context, origin);
    await go(watched, origin + path);
    await watched.page.locator('[data-live-state].on').waitFor();
    const light = watched.page.locator('[data-await]');
    if (await light.count()) await watched.page.locator('[data-await].came').waitFor();
    await watched.page.screenshot({ path: join(screenshots, `${name}.png`) });
    await close(watched);
    faults.push(...watched.faults);
    await context.close();
  }
  return { faults };
});
