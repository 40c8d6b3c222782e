// axe-core finds no violations: light and dark, wide and narrow, with errors and with large
// batches.

import {test} from 'node:test';

import {audit, expectText, onPage} from './browser.mjs';

for (const dark of [false, true]) {
    for (const width of [1400, 390]) {
        test(`${dark ? 'dark' : 'light'}, ${width} wide`, async () => {
            await onPage(
                'huber',
                async (page) => {
                    await audit(page);
                    await page.locator('#argument-delta').fill('-1');
                    await expectText(page, '#argument-delta-error', /greater/);
                    await audit(page);
                },
                {dark, width},
            );
            await onPage(
                'cross_entropy',
                async (page) => {
                    await page.locator('#batch').selectOption('digits');
                    await page.locator('#heatmap tbody tr:nth-child(16)').waitFor();
                    await audit(page);
                },
                {dark, width},
            );
        });
    }
}
