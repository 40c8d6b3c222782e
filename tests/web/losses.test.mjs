// For the example of each loss, the page shows the result of the server, a curve and a gradient.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {expectText, onPage, url} from './browser.mjs';

const {losses} = await (await fetch(`${url}/v1/losses`)).json();
const number = (text) => Number(text.replaceAll('−', '-'));

for (const {name} of losses) {
    test(name, () =>
        onPage(name, async (page) => {
            const {example, parameters, tensors} = await (
                await fetch(`${url}/v1/losses/${name}`)
            ).json();
            const response = await (
                await fetch(`${url}/v1/losses/${name}`, {
                    method: 'POST',
                    headers: {'Content-Type': 'application/json'},
                    body: JSON.stringify({...example, grad: true}),
                })
            ).json();
            const fact = await page.locator('#facts dd').first().textContent();
            if (response.reduction !== 'none')
                assert.ok(
                    Math.abs(number(fact) - response.loss) <= 1e-6 * Math.abs(response.loss),
                    `${fact} is not ${response.loss}`,
                );
            assert.equal(await page.locator('#form-error').isVisible(), false);
            for (const parameter of parameters)
                await page.locator(`#argument-${parameter.name}`).waitFor();
            for (const tensor of tensors) await page.locator(`#tensor-${tensor.name}`).waitFor();
            await page.locator('#curve-loss[role=img] canvas').waitFor();
            await page.locator('#curve-derivative[role=img] canvas').waitFor();
            await page.locator('#histogram[role=img] canvas').waitFor();
            await expectText(page, '#curve-summary', new RegExp(`^${name} as a function of `));
            assert.ok((await page.locator('#worst tbody tr').count()) > 0);
            assert.equal(await page.locator('#curve-error').isVisible(), false);
        }),
    );
}
