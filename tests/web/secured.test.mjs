// The pages of a server with TLS and tokens. LOSSD_TOKEN is the token.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {audit, expectText, onAddress, shown} from './browser.mjs';

const token = process.env.LOSSD_TOKEN;

test('the page asks for a token and keeps it', () =>
    onAddress('/#huber', async (page) => {
        const field = page.locator('#token');
        await field.waitFor();
        await audit(page);
        await field.fill('another');
        await field.press('Enter');
        await expectText(
            page,
            '#token-error',
            'unknown token',
        );
        await field.fill(token);
        await field.press('Enter');
        await shown(page, 'huber');
        await expectText(page, '#facts dd', '0.67708333');
        await field.waitFor({state: 'hidden'});
        await expectText(page, '#status-ready', 'ready');
        await page.locator('#status-memory').waitFor();
        await expectText(page, '#code', /^curl https:.*\n.*\n.*Authorization: Bearer \$TOKEN/);
        await page.reload();
        await shown(page, 'huber');
        assert.equal(await field.isVisible(), false);
    }));

test('/docs sends the token with its requests', () =>
    onAddress('/docs#evaluate_mse', async (page) => {
        await page.locator('#token').fill(token);
        await page.locator('#token').press('Enter');
        const operation = page.locator('#evaluate_mse');
        await operation.getByRole('button', {name: 'Send'}).click();
        await operation.locator('.status').waitFor();
        assert.match(await operation.locator('.status').textContent(), /^200 /);
    }));
