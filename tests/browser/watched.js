// A browser, and pages of it that are watched: whatever one complains of, whatever it asks of another
// host, and whatever opens a dialog, is a fault.
'use strict';

const { existsSync } = require('node:fs');
const { createInterface } = require('node:readline');
const { chromium } = require('playwright-core');

// Longer than a busy machine needs.
const PATIENCE_MS = 20000;
// What a script of somebody else's would set if it ran; tests/browser.rs writes such scripts.
const TRACE = 'pwned';
// A name for this machine under which a browser trusts nothing, as with an address in the network.
const UNTRUSTED_HOST = 'pool.test';

const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const launch = () => {
  const executablePath = PROGRAMS.find(existsSync);
  if (!executablePath) throw new Error('Chromium is missing: run `make packages`');
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      // Nothing leaves the machine, not even by mistake.
      `--host-resolver-rules=MAP ${UNTRUSTED_HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
    ],
  });
};

// A new page, and the list into which its faults go.
const open = async (context, origin) => {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const faults = [];
  const watched = { page, faults, leaving: false, status: 200 };
  page.on('console', (message) => {
    // A page that is told to be missing is told to the console, too.
    const isStatus = watched.status >= 400 && message.location().url === page.url();
    if (['error', 'warning'].includes(message.type()) && !isStatus) {
      faults.push(`console: ${message.text()}`);
    }
  });
  page.on('pageerror', (error) => faults.push(`script: ${error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) faults.push(`asks for ${request.url()}`);
  });
  page.on('requestfailed', (request) => {
    // A stream of events ends with its page.
    if (!watched.leaving) faults.push(`failed: ${request.url()} ${request.failure().errorText}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400 && !response.request().isNavigationRequest()) {
      faults.push(`${response.status()}: ${response.url()}`);
    }
  });
  return watched;
};

// Goes there, and says the answer.
const go = async (watched, url, status = 200) => {
  watched.status = status;
  watched.leaving = true;
  const response = await watched.page.goto(url, { waitUntil: 'load' });
  watched.leaving = false;
  if (response.status() !== status) watched.faults.push(`${response.status()} and not ${status}`);
  return response;
};

const close = async (watched) => {
  watched.leaving = true;
  const ran = await watched.page.evaluate((name) => window[name], TRACE);
  if (ran !== undefined) watched.faults.push(`a script ran: ${ran}`);
  await watched.page.close();
};

// Read once somebody is asked: nobody else waits for input.
let answers;

// Has the test do something at the pool.
const ask = async (what) => {
  answers ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  console.log(JSON.stringify({ now: what }));
  const { done } = await answers.next();
  if (done) throw new Error('the test is gone');
};

const wait = (page, test, argument) =>
  page.waitForFunction(test, argument, { timeout: PATIENCE_MS });

// Runs to its end with a task that the test gives as the first argument; the report is the last line.
const run = async (drive) => {
  const task = JSON.parse(process.argv[2]);
  const browser = await launch();
  try {
    const report = await drive(browser, task);
    console.log(JSON.stringify(report));
  } finally {
    await browser.close();
  }
};

module.exports = { UNTRUSTED_HOST, launch, open, go, close, ask, wait, run };
