// The page never shows results that do not match its form: after errors, changes of the loss, late
// responses and dropped files.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {drop, expectText, onAddress, onPage, shown} from './browser.mjs';

const loss = '#facts dd';

// Checks that there are no results, but a reason.
async function expectNothing(page, why) {
    await expectText(page, '#result-error', why);
    for (const selector of [
        '#facts *',
        '#worst *',
        '#compare-table *',
        '#curve-loss canvas',
        '#compare-loss canvas',
        '#histogram canvas',
    ]) {
        assert.equal(await page.locator(selector).count(), 0, selector);
    }
    assert.equal(await page.locator('#result-error').isVisible(), true);
}

async function expectResult(page, value) {
    await expectText(page, loss, value);
    assert.equal(await page.locator('#result-error').isVisible(), false);
    await page.locator('#results[aria-busy=false]').waitFor();
}

for (const [name, why] of [
    ['nll', /target: element 0 is 0\.5; it must be an integer/],
    ['multi_margin', /target: element 0 is 0\.5/],
    ['multilabel_margin', /target: element 0 is 0\.5/],
]) {
    test(`values of mse that ${name} does not accept remove the result`, () =>
        onPage('mse', async (page) => {
            await page.locator('#tensor-target').fill('[0.5, 1, 2]');
            await page.locator('#loss').selectOption(name);
            await page.waitForFunction((title) => document.title.startsWith(`${title} `), name);
            await expectNothing(page, why);
            await expectText(page, '#code', '');
            assert.equal(await page.locator('#copy').isDisabled(), true);
            await page.locator('#batch').selectOption('example');
            await page.locator(loss).first().waitFor();
            await expectText(page, '#code', new RegExp(`/v1/losses/${name} `));
        }));
}

test('values that the client rejects are an error of their tensor', () =>
    onPage('mse', async (page) => {
        await page.locator('#tensor-input').fill('[[1, 2], [3, 4]]');
        await page.locator('#tensor-target').fill('[0.5, 1]');
        await page.locator('#loss').selectOption('cross_entropy');
        await expectNothing(page, /target: element 0 is 0\.5; it must be an integer/);
        await expectText(page, '#tensor-target-error', /element 0 is 0\.5/);
        await page.locator('#tensor-target').fill('[0, 1]');
        await expectResult(page, /^0\.8/);
    }));

test('invalid values and server errors remove the result', () =>
    onPage('mse', async (page) => {
        for (const [wrong, why] of [
            ['[1, 2', /^input: not valid JSON/],
            ['[1, two, 3]', /input/],
            ['[1, 2, 3, 4]', /shape/],
            ['', /input is missing/],
        ]) {
            await page.locator('#tensor-input').fill(wrong);
            await expectNothing(page, why);
            await page.locator('#tensor-input').fill('[1, 2, 3]');
            await page.locator('#tensor-target').fill('[1, 2, 6]');
            await expectResult(page, '3');
            await page.locator('#curve-loss canvas').waitFor();
            await page.locator('#compare-table td').first().waitFor();
        }
        await page.locator('#loss').selectOption('huber');
        await shown(page, 'huber');
        await page.locator('#argument-delta').fill('-1');
        await expectNothing(page, /delta is -1/);
        await page.locator('#argument-delta').fill('1');
        await expectResult(page, /^\d/);
        await page.locator('#tensor-sample_weight').fill('[1, 2]');
        await expectNothing(page, /sample_weight/);
    }));

test('an invalid range removes curve and comparison', () =>
    onPage('mse', async (page) => {
        await page.locator('#compare-table td').first().waitFor();
        await page.locator('#curve-from').fill('9');
        await page.locator('#curve-to').fill('-9');
        await expectText(page, '#curve-error', 'invalid range from 9 to -9');
        assert.equal(
            await page
                .locator('#curve-loss canvas, #compare-loss canvas, #compare-table td')
                .count(),
            0,
        );
        await page.locator('#curve-reset').click();
        await page.locator('#curve-loss canvas').waitFor();
        await page.locator('#compare-table td').first().waitFor();
        assert.equal(await page.locator('#curve-error').isVisible(), false);
    }));

// Delays requests until they are released.
async function hold(page, pattern, matches = () => true) {
    const held = [];
    await page.route(pattern, async (route) => {
        if (!matches(route.request())) return route.continue();
        await new Promise((release) => held.push(release));
        return route.continue().catch(() => {}); // aborted meanwhile
    });
    return {
        count: () => held.length,
        async some() {
            for (let i = 0; i < 600 && held.length === 0; i++) await page.waitForTimeout(50);
            assert.ok(held.length > 0, 'a request is delayed');
        },
        async release() {
            await page.unroute(pattern);
            for (const release of held) release();
        },
    };
}

// Delays the evaluations of mse.
const holdEvaluations = (page) =>
    hold(page, '**/v1/losses/mse*', (request) => request.method() === 'POST');

test('late responses are ignored', () =>
    onPage('mse', async (page) => {
        const late = await holdEvaluations(page);
        await page.locator('#tensor-input').fill('[10, 10, 10]');
        await late.some();
        assert.equal(await page.locator('#results').getAttribute('aria-busy'), 'true');
        await page.locator('#tensor-input').fill('[10, 10');
        await expectNothing(page, /not valid JSON/);
        await late.release();
        await page.waitForTimeout(500);
        await expectNothing(page, /not valid JSON/);
    }));

test('a late response for another loss is ignored', () =>
    onPage('mse', async (page) => {
        const late = await holdEvaluations(page);
        await page.locator('#tensor-input').fill('[10, 10, 10]');
        await late.some();
        await page.locator('#loss').selectOption('l1');
        await shown(page, 'l1');
        const value = await page.locator(loss).first().textContent();
        await late.release();
        await page.waitForTimeout(500);
        await expectResult(page, value);
        await expectText(page, '#curve-summary', /^l1 as a function of/);
    }));

test('the last of several selected losses is shown', () =>
    onPage('mse', async (page) => {
        const late = await hold(
            page,
            '**/v1/losses/huber',
            (request) => request.method() === 'GET',
        );
        await page.locator('#loss').selectOption('huber');
        await late.some();
        await expectText(page, '#code', '');
        assert.equal(
            await page.locator('#facts *').count(),
            0,
            'the result of mse is removed immediately',
        );
        await page.locator('#tensor-input').fill('[1, 2, 4]');
        await page.waitForTimeout(400);
        assert.equal(
            await page.locator('#facts *').count(),
            0,
            'nothing is evaluated while a loss is loading',
        );
        await page.locator('#loss').selectOption('l1');
        await shown(page, 'l1');
        await late.release();
        await page.waitForTimeout(300);
        assert.equal(await page.locator('#loss').inputValue(), 'l1');
        assert.match(await page.title(), /^l1 /);
        await page.locator('#argument-delta').waitFor({state: 'detached'});
        await expectText(page, '#curve-summary', /^l1 as a function of/);
    }));

test('a loss that cannot be loaded keeps the form and removes the result', () =>
    onPage('mse', async (page) => {
        await page.route('**/v1/losses/huber', (route) => route.abort());
        await page.locator('#loss').selectOption('huber');
        await expectNothing(page, /cannot reach/);
        assert.equal(await page.locator('#loss').inputValue(), 'mse');
        await page.locator('#form button[type=submit]').click();
        await expectResult(page, '0.16666667');
        await expectText(page, '#code', /v1\/losses\/mse /);
    }));

test('a server error removes the previous result', () =>
    onPage(
        'mse',
        async (page) => {
            await page.route('**/v1/losses/mse*', (route) =>
                route.fulfill({
                    status: 500,
                    contentType: 'application/problem+json',
                    body: '{"status": 500, "detail": "it failed"}',
                }),
            );
            await page.locator('#form button[type=submit]').click();
            await expectNothing(page, 'it failed');
            await page.unroute('**/v1/losses/mse*');
            await page.locator('#form button[type=submit]').click();
            await expectResult(page, '0.16666667');
        },
        {expected: /status of 500/},
    ));

test('large batches wait for the button, without a previous result', () =>
    onPage('mse', async (page) => {
        const many = JSON.stringify(Array.from({length: 150_000}, () => 1));
        await drop(page, '#data', [
            {name: 'input.json', bytes: many},
            {name: 'target.json', bytes: many},
        ]);
        await expectResult(page, '0');
        await page.locator('#reduction').selectOption('sum');
        await expectNothing(page, /more than 200,000 numbers: press Evaluate/);
        await page.locator('#form button[type=submit]').click();
        await expectResult(page, '0');
    }));

// ---- Files ----

test('unnamed files fill required tensors, never optional ones', () =>
    onPage('cross_entropy', async (page) => {
        for (const name of ['weight', 'sample_weight'])
            await page.locator(`#tensor-${name}`).fill('');
        await page.locator('#argument-label_smoothing').fill('0');
        await drop(page, '#data', [
            {name: 'a.json', bytes: '[[1, 2]]'},
            {name: 'b.json', bytes: '[1]'},
        ]);
        await expectText(page, '#loaded', 'Read input, target from a.json, b.json.');
        await expectResult(page, '0.31326168');
        assert.equal(await page.locator('#tensor-weight').inputValue(), '');
        await page.locator('#tensor-target').fill('');
        await drop(page, '#data', [{name: 'c.json', bytes: '[0]'}]);
        await expectText(page, '#loaded', 'Read target from c.json.');
        await expectResult(page, '1.3132617');
        await drop(page, '#data', [
            {name: 'd.json', bytes: '[[1, 2]]'},
            {name: 'e.json', bytes: '[1]'},
            {name: 'f.json', bytes: '[1, 2]'},
        ]);
        await expectNothing(
            page,
            /f\.json: no field for this tensor; .* name the file after one: input, target, weight/,
        );
        assert.equal(
            await page.locator('#tensor-target').inputValue(),
            '[0]',
            'no tensor changes if one file does not fit',
        );
        await drop(page, '#data', [{name: 'weight.json', bytes: '[1, 2]'}]);
        await expectText(page, '#loaded', 'Read weight from weight.json.');
        await drop(page, '#tensor-weight', [{name: 'x.json', bytes: '[3, 4]'}]);
        await expectText(page, '#loaded', 'Read weight from x.json.');
        assert.equal(await page.locator('#tensor-weight').inputValue(), '[3, 4]');
        await drop(page, '#data', [
            {name: 'b.json', bytes: '[1]'},
            {name: 'pred.json', bytes: '[[5, 6]]'},
        ]);
        await expectText(page, '#loaded', 'Read input, target from b.json, pred.json.');
        await drop(page, '#data', [
            {name: 'pred.json', bytes: '[[5, 6]]'},
            {name: 'input.json', bytes: '[[5, 6]]'},
        ]);
        await expectText(page, '#form-error', 'input.json: input is already in pred.json');
    }));

test('unknown names in files are rejected', () =>
    onPage('huber', async (page) => {
        const file = (fields) => [{name: 'batch.json', bytes: JSON.stringify(fields)}];
        await drop(
            page,
            '#data',
            file({predictions: [3, 0], labels: [0, 0], delta: 2, reduction: 'sum'}),
        );
        await expectText(page, '#loaded', 'Read input, target from batch.json.');
        await expectResult(page, '4');
        for (const [fields, why] of [
            [{input: [1], target: [1], detla: 3}, /huber has no field 'detla'/],
            [
                {input: [1], target: [1], reduction: 'batchmean'},
                /reduction is "batchmean"; it must be mean or sum or none/,
            ],
            [{input: [1], target: [1], dtype: 'float16'}, /dtype is "float16"/],
            [{input: {buffer: 'AAAA'}, target: [1]}, /input must be nested arrays/],
        ]) {
            await drop(page, '#data', file(fields));
            await expectNothing(page, why);
            assert.equal(await page.locator('#tensor-input').inputValue(), '[3, 0]');
        }
        await drop(
            page,
            '#data',
            file({input: 5, target: 1, reduction: 'mean', sample_weight: null}),
        );
        await expectResult(page, '6');
    }));

test('the note about files disappears with their tensors', () =>
    onPage('mse', async (page) => {
        await drop(page, '#data', [{name: 'input.json', bytes: '[1, 2, 3]'}]);
        await expectText(page, '#loaded', 'Read input from input.json.');
        await page.locator('#batch').selectOption('example');
        await expectText(page, '#loaded', '');
        await drop(page, '#data', [{name: 'input.json', bytes: '[1, 2, 3]'}]);
        await expectText(page, '#loaded', 'Read input from input.json.');
        await page.locator('#loss').selectOption('l1');
        await expectText(page, '#loaded', '');
    }));

test('an invalid token is rejected when it is entered', () =>
    onPage('mse', async (page) => {
        await page.route('**/v1/**', (route) =>
            route.fulfill({
                status: 401,
                contentType: 'application/problem+json',
                body: '{"status": 401, "detail": "a token is required"}',
            }),
        );
        await page.locator('#form button[type=submit]').click();
        await page.locator('#token').fill('schlüssel');
        await page.locator('#token').press('Enter');
        await expectText(page, '#token-error', 'the token must be printable ASCII characters');
        assert.equal(await page.evaluate(() => sessionStorage.getItem('token')), null);
    }));

test('errors of loading losses are shown, and the next loss loads', () =>
    onAddress('/favicon.ico', async (page) => {
        const choose = (name) =>
            page.evaluate((hash) => {
                location.hash = hash;
            }, name);
        await page.route('**/v1/losses/*', (route) =>
            route.request().method() === 'GET' ? route.abort() : route.continue(),
        );
        await page.goto(new URL('/#mse', page.url()).href);
        await expectText(page, '#form-error', /fetch|network|reach/i);
        await choose('huber');
        await expectText(page, '#form-error', /fetch|network|reach/i);
        await page.unroute('**/v1/losses/*');
        await choose('l1');
        await page.locator(loss).first().waitFor();
    }));
