// A Chromium for the tests of a process, and what they do with the page.

import assert from 'node:assert/strict';
import {existsSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before} from 'node:test';

import axe from 'axe-core';
import {chromium} from 'playwright-core';

export const url = process.env.LOSSD_URL;
assert.ok(url, 'LOSSD_URL must name a server, as in LOSSD_URL=http://127.0.0.1:8080 npm test');

const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

// The same without windows, in half the time, where that is there.
const programs = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'];

const patience = 60_000; // ms that a busy machine may take

let context, profile;

before(async () => {
    profile = await mkdtemp(join(tmpdir(), 'lossd-web-'));
    context = await chromium.launchPersistentContext(profile, {executablePath: process.env.CHROMIUM ?? programs.find(existsSync), headless: true, args, ignoreHTTPSErrors: url.startsWith('https:'),
        viewport: {width: 1400, height: 1000}, permissions: ['clipboard-read', 'clipboard-write']});
    context.setDefaultTimeout(patience);
});

after(async () => {
    await context?.close();
    await rm(profile, {recursive: true, force: true});
});

/** Runs `use(page)` on the page of a loss. */
export async function onPage(loss, use, options) {
    await onAddress(`/#${loss}`, async (page) => {
        await shown(page, loss);
        await use(page);
    }, options);
}

/** Runs `use(page)` on an address of the server. Whatever the page throws, or its content security policy stops, fails the test;
    what the server refuses, or the test itself, does not, nor what it expects. */
export async function onAddress(address, use, {width = 1400, dark = false, expected = /(?!)/} = {}) {
    const page = await context.newPage(), wrong = [];
    page.on('pageerror', (error) => wrong.push(error.stack));
    page.on('console', (message) => {
        if (message.type() === 'error' && !/the server responded with a status of 4|net::ERR_FAILED/.test(message.text()) && !expected.test(message.text())) wrong.push(message.text());
    });
    page.on('request', (request) => {
        if (!request.url().startsWith(url) && !request.url().startsWith('blob:')) wrong.push(`asked for ${request.url()}`);
    });
    try {
        await page.setViewportSize({width, height: 900});
        await page.emulateMedia({colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce'});
        await page.goto(url + address);
        await use(page);
        assert.deepEqual(wrong, []);
    } finally {
        await page.close();
    }
}

/** Waits until the form of a loss is there, and a result. */
export async function shown(page, loss) {
    await page.waitForFunction((name) => document.title.startsWith(`${name} `), loss);
    await page.locator('#facts dd').first().waitFor();
}

/** The text of the element once it is as expected. */
export async function expectText(page, selector, expected) {
    const matches = (text) => (expected instanceof RegExp ? expected.test(text) : text === expected);
    let text = null;
    for (let i = 0; i < patience / 50; i++) {
        text = await page.locator(selector).first().textContent();
        if (matches(text)) return text;
        await page.waitForTimeout(50);
    }
    assert.fail(`${selector} says ${JSON.stringify(text)}, not ${expected}`);
}

/** axe-core finds nothing to complain of. */
export async function audit(page) {
    await page.evaluate(axe.source);
    // Selectors of what passes, of which there are thousands, take most of the time, and are not asked for.
    const {violations, passed} = await page.evaluate(async () => {
        const result = await globalThis.axe.run({resultTypes: ['violations']});
        return {violations: result.violations, passed: result.passes.length};
    });
    assert.ok(passed > 20);
    assert.deepEqual(violations.map(({id, nodes}) => `${id}: ${nodes.map(({html, failureSummary}) => `${html} ${failureSummary}`).join('\n')}`), []);
}

/** Lets files fall upon an element. */
export async function drop(page, selector, files) {
    const list = files.map(({name, bytes}) => ({name, text: Buffer.from(bytes).toString('base64')}));
    await page.locator(selector).evaluate((element, contents) => {
        const transfer = new DataTransfer();
        for (const {name, text} of contents) transfer.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name));
        for (const type of ['dragover', 'drop']) element.dispatchEvent(new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer: transfer}));
    }, list);
}
