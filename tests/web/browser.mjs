// Starts Chromium for the tests of a process; helpers that drive the page.

import assert from 'node:assert/strict';
import {existsSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before} from 'node:test';

import axe from 'axe-core';
import {chromium} from 'playwright-core';

export const url = process.env.LOSSD_URL;
assert.ok(
    url,
    'LOSSD_URL must be the address of a server, as in LOSSD_URL=http://127.0.0.1:8080 npm test',
);

const args = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
];

// The headless shell starts in half the time, if it is installed.
const programs = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'];

const maxWait = 60_000; // ms, for busy machines

let context, profile;

before(async () => {
    profile = await mkdtemp(join(tmpdir(), 'lossd-web-'));
    context = await chromium.launchPersistentContext(profile, {
        executablePath: process.env.CHROMIUM ?? programs.find(existsSync),
        headless: true,
        args,
        ignoreHTTPSErrors: url.startsWith('https:'),
        viewport: {width: 1400, height: 1000},
        permissions: ['clipboard-read', 'clipboard-write'],
    });
    context.setDefaultTimeout(maxWait);
});

after(async () => {
    await context?.close();
    await rm(profile, {recursive: true, force: true});
});

/** Runs `use(page)` on the page of a loss. */
export async function onPage(loss, use, options) {
    await onAddress(
        `/#${loss}`,
        async (page) => {
            await shown(page, loss);
            await use(page);
        },
        options,
    );
}

/**
 * Runs `use(page)` on an address of the server. Exceptions of the page and violations of its
 * content security policy fail the test; error statuses, aborted requests and expected exceptions
 * do not.
 */
export async function onAddress(
    address,
    use,
    {width = 1400, dark = false, expected = /(?!)/} = {},
) {
    const page = await context.newPage(),
        errors = [];
    page.on('pageerror', (error) => errors.push(error.stack));
    page.on('console', (message) => {
        if (
            message.type() === 'error' &&
            !/the server responded with a status of 4|net::ERR_FAILED/.test(message.text()) &&
            !expected.test(message.text())
        )
            errors.push(message.text());
    });
    page.on('request', (request) => {
        if (!request.url().startsWith(url) && !request.url().startsWith('blob:'))
            errors.push(`requested ${request.url()}`);
    });
    try {
        await page.setViewportSize({width, height: 900});
        await page.emulateMedia({colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce'});
        await page.goto(url + address);
        await use(page);
        assert.deepEqual(errors, []);
    } finally {
        await page.close();
    }
}

/** Waits until the form of a loss and a result are shown. */
export async function shown(page, loss) {
    await page.waitForFunction((name) => document.title.startsWith(`${name} `), loss);
    await page.locator('#facts dd').first().waitFor();
}

/** Waits until an element has the expected text, and returns the text. */
export async function expectText(page, selector, expected) {
    const matches = (text) =>
        expected instanceof RegExp ? expected.test(text) : text === expected;
    let text = null;
    for (let i = 0; i < maxWait / 50; i++) {
        text = await page.locator(selector).first().textContent();
        if (matches(text)) return text;
        await page.waitForTimeout(50);
    }
    assert.fail(`${selector} says ${JSON.stringify(text)}, not ${expected}`);
}

/** Checks that axe-core finds no violations. */
export async function audit(page) {
    await page.evaluate(axe.source);
    // Reporting the thousands of elements that pass would take most of the time.
    const {violations, passed} = await page.evaluate(async () => {
        const result = await globalThis.axe.run({resultTypes: ['violations']});
        return {violations: result.violations, passed: result.passes.length};
    });
    assert.ok(passed > 20);
    assert.deepEqual(
        violations.map(
            ({id, nodes}) =>
                `${id}: ` +
                `${nodes.map(({html, failureSummary}) => `${html} ${failureSummary}`).join('\n')}` +
                ``,
        ),
        [],
    );
}

/** Drops files on an element. */
export async function drop(page, selector, files) {
    const list = files.map(({name, bytes}) => ({
        name,
        text: Buffer.from(bytes).toString('base64'),
    }));
    await page.locator(selector).evaluate((element, contents) => {
        const transfer = new DataTransfer();
        for (const {name, text} of contents)
            transfer.items.add(
                new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name),
            );
        for (const type of ['dragover', 'drop'])
            element.dispatchEvent(
                new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer: transfer}),
            );
    }, list);
}
