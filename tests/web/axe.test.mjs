// axe-core finds nothing to complain of, in light and dark, on a phone, with mistakes and with many numbers.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import axe from 'axe-core';

import {expectText, onPage} from './browser.mjs';

async function audit(page) {
    await page.evaluate(axe.source);
    const {violations, passes} = await page.evaluate(() => globalThis.axe.run());
    assert.ok(passes.length > 20);
    assert.deepEqual(violations.map(({id, nodes}) => `${id}: ${nodes.map(({html, failureSummary}) => `${html} ${failureSummary}`).join('\n')}`), []);
}

for (const dark of [false, true]) {
    for (const width of [1400, 390]) {
        test(`${dark ? 'dark' : 'light'}, ${width} wide`, async () => {
            await onPage('huber', async (page) => {
                await audit(page);
                await page.locator('#argument-delta').fill('-1');
                await expectText(page, '#argument-delta-mistake', /greater/);
                await audit(page);
            }, {dark, width});
            await onPage('cross_entropy', async (page) => {
                await page.locator('#batch').selectOption('digits');
                await page.locator('#heatmap tbody tr:nth-child(16)').waitFor();
                await audit(page);
            }, {dark, width});
        });
    }
}
