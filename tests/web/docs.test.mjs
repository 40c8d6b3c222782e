// The page /docs: sends every operation of the OpenAPI document and checks the documented status.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {audit, onAddress, url} from './browser.mjs';

async function open(page, id) {
    await page.locator(`#${id} > summary`).click();
}

/** Sends the form of an operation. Returns the status line and the response. */
async function send(page, id) {
    const operation = page.locator(`#${id}`);
    await operation.getByRole('button', {name: 'Send'}).click();
    await operation.locator('.status').waitFor();
    return {
        status: await operation.locator('.status').textContent(),
        text: await operation.locator('[role=status] pre').textContent(),
    };
}

/**
 * Runs in the page: opens each operation, sends its form, and closes it. Returns the status lines.
 * There are about a hundred operations; driving them through the browser protocol takes half a
 * minute.
 */
async function sendAll(ids) {
    const statuses = {};
    const appeared = async (element, selector) => {
        for (let i = 0; i < 6000 && !element.querySelector(selector); i++)
            await new Promise((resolve) => setTimeout(resolve, 10));
        return element.querySelector(selector);
    };
    for (const id of ids) {
        const element = document.getElementById(id);
        element.querySelector('summary').click();
        (await appeared(element, 'button.main')).click();
        statuses[id] = (await appeared(element, '.status')).textContent;
        element.querySelector('summary').click();
    }
    return statuses;
}

test('every operation can be sent', async () => {
    const {paths} = await (await fetch(`${url}/openapi.json`)).json();
    const operations = Object.values(paths).flatMap((item) => Object.values(item));
    await onAddress('/docs', async (page) => {
        await page.locator('.operation').first().waitFor();
        assert.equal(await page.locator('.operation').count(), operations.length);
        const statuses = await page.evaluate(
            sendAll,
            operations.map(({operationId}) => operationId),
        );
        for (const {operationId, responses} of operations)
            assert.ok(
                statuses[operationId].startsWith(Object.keys(responses)[0]),
                `${operationId}: ${statuses[operationId]}`,
            );
    });
});

test('a fragment opens its operation, with examples of all losses', async () => {
    await onAddress('/docs#infer', async (page) => {
        const operation = page.locator('#infer');
        await operation.getByLabel('example').selectOption('ctc');
        const {status, text} = await send(page, 'infer');
        assert.match(status, /^200 /);
        assert.equal(JSON.parse(text).model_name, 'ctc');
        await operation.getByRole('button', {name: 'Copy curl'}).click();
        await operation.getByRole('button', {name: 'Copied'}).waitFor();
        assert.ok(
            (await page.evaluate(() => navigator.clipboard.readText())).endsWith(
                `${url}/v2/models/ctc/infer`,
            ),
        );
    });
});

test('without a clipboard, the curl command is selected', async () => {
    await onAddress('/docs#live', async (page) => {
        await page.locator('#live').getByRole('button', {name: 'Copy curl'}).waitFor();
        await page.evaluate(() =>
            Object.defineProperty(navigator, 'clipboard', {value: undefined}),
        );
        await page.locator('#live').getByRole('button', {name: 'Copy curl'}).click();
        await page
            .locator('#live')
            .getByRole('button', {name: /Copied|Selected: press Ctrl\+C/})
            .waitFor();
        assert.equal(
            await page.evaluate(() => getSelection().toString().trim()),
            `curl ${url}/v2/health/live`,
        );
    });
});

test('an error shows the response of the server', async () => {
    await onAddress('/docs#evaluate_huber', async (page) => {
        await page
            .locator('#evaluate_huber textarea')
            .fill('{"input": [1], "target": [1], "delta": -1}');
        const {status, text} = await send(page, 'evaluate_huber');
        assert.match(status, /^422 /);
        assert.equal(JSON.parse(text).pointer, '/delta');
    });
});

test('the filter hides other operations', async () => {
    await onAddress('/docs', async (page) => {
        await page.locator('.operation').first().waitFor();
        await page.locator('#filter').fill('TripletMarginLoss');
        const left = await page
            .locator('.operation:visible')
            .evaluateAll((elements) => elements.map(({id}) => id).sort());
        assert.deepEqual(left, ['describe_triplet_margin', 'evaluate_triplet_margin']);
    });
});

for (const dark of [false, true])
    for (const width of [1400, 390])
        test(`axe finds no violations: ${dark ? 'dark' : 'light'}, ${width} wide`, async () => {
            await onAddress(
                '/docs#evaluate_cross_entropy',
                async (page) => {
                    await send(page, 'evaluate_cross_entropy');
                    await open(page, 'evaluateSeveral');
                    await open(page, 'infer');
                    await audit(page);
                },
                {dark, width},
            );
        });
