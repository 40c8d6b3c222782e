import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {test} from 'node:test';

import {drop, expectText, onPage, shown, url} from './browser.mjs';

const run = promisify(execFile);
const local = (path) => fileURLToPath(new URL(path, import.meta.url));
const loss = '#facts dd';

// ---- Errors ----

test('an error is shown next to its parameter until it is fixed', () =>
    onPage('huber', async (page) => {
        const delta = page.locator('#argument-delta');
        await delta.fill('-1');
        await expectText(page, '#argument-delta-error', 'delta is -1; it must be greater than 0');
        assert.equal(await delta.getAttribute('aria-invalid'), 'true');
        assert.match(await delta.getAttribute('aria-describedby'), /argument-delta-error/);
        await delta.fill('half');
        await expectText(page, '#argument-delta-error', /delta/);
        await delta.fill('2');
        await expectText(page, '#argument-delta-error', '');
        assert.equal(await delta.getAttribute('aria-invalid'), null);
    }));

test('an error is shown next to its tensor', () =>
    onPage('cross_entropy', async (page) => {
        await page.locator('#tensor-target').fill('[1, 0, 7]');
        await expectText(
            page,
            '#tensor-target-error',
            /target\[2\] is 7; class indices must be in \[0, 3\)/,
        );
        await page.locator('#tensor-target').fill('[1, 0');
        await expectText(page, '#tensor-target-error', /not valid JSON/);
        await page.locator('#tensor-target').fill('1, zero, 2');
        await expectText(page, '#tensor-target-error', 'line 1: "zero" is not a number');
        await page.locator('#tensor-target').fill('[1, 0, 2, 1]');
        await expectText(page, '#tensor-target-error', /shape/);
        assert.equal(await page.locator('#tensor-input').getAttribute('aria-invalid'), null);
    }));

// ---- Values and files ----

test('numbers can be pasted as JSON, rows, or a column', () =>
    onPage('mse', async (page) => {
        await page.locator('#tensor-input').fill('1\n2\n3\n');
        await page.locator('#tensor-target').fill('[1, 2, NaN]');
        await expectText(page, '#tensor-input-shape', '(3,)');
        await expectText(page, loss, 'NaN');
        await page.locator('#tensor-target').fill('1\t2\t6');
        await expectText(page, loss, '3');
        await page.locator('#tensor-input').fill('1;2\n3;4');
        await page.locator('#tensor-target').fill('0 0\n0 0');
        await expectText(page, '#tensor-input-shape', '(2, 2)');
        await expectText(page, loss, '7.5');
    }));

// A .npy file of big-endian doubles in Fortran order.
function npy(rows, columns, value) {
    const header =
        `{'descr': '>f8', 'fortran_order': True, 'shape': (${rows}, ${columns}), }`.padEnd(117) +
        '\n';
    const file = Buffer.alloc(128 + rows * columns * 8);
    file.write('\x93NUMPY\x01\x00', 'latin1');
    file.writeUInt16LE(118, 8);
    file.write(header, 10, 'latin1');
    for (let column = 0; column < columns; column++) {
        for (let row = 0; row < rows; row++)
            file.writeDoubleBE(value(row, column), 128 + (column * rows + row) * 8);
    }
    return file;
}

test('files of every format can be dropped', async () => {
    await onPage('mse', async (page) => {
        await drop(page, '#data', [
            {
                name: 'batch.json',
                bytes: '{"input": [1, 2, 3], "target": [1, 2, 6], "reduction": "sum"}',
            },
        ]);
        await expectText(page, '#loaded', 'Read input, target from batch.json.');
        await expectText(page, loss, '9');
        await drop(page, '#tensor-target', [{name: 'anything.json', bytes: '[1, 2, 5]'}]);
        await expectText(page, loss, '4');
        await drop(page, '#data', [
            {name: 'pred.npy', bytes: npy(2, 3, (row, column) => 10 * row + column)},
            {name: 'y.npy', bytes: npy(2, 3, () => 0)},
        ]);
        await expectText(page, '#loaded', 'Read input, target from pred.npy, y.npy.');
        assert.match(
            await page.locator('#tensor-input').inputValue(),
            /\[\[0, 1, 2\],\s*\[10, 11, 12\]\]/,
        );
        await expectText(page, loss, String(1 + 4 + 100 + 121 + 144));
        await drop(page, '#data', [{name: 'batch.csv', bytes: 'input,target\n1,1\n2,4\n'}]);
        await expectText(page, loss, '4');
        await drop(page, '#data', [
            {
                name: 'diabetes.safetensors',
                bytes: await readFile(local('../real/diabetes.safetensors')),
            },
        ]);
        await page.locator('#reduction').selectOption('mean');
        await expectText(page, loss, /^3139\.954/);
        await drop(page, '#data', [{name: 'batch.csv', bytes: 'input,goal\n1,1\n'}]);
        await expectText(
            page,
            '#form-error',
            /batch.csv: mse has no tensor 'goal'; it has input, target, weight, sample_weight/,
        );
        await drop(page, '#data', [{name: 'cut.npy', bytes: npy(2, 2, () => 0).subarray(0, 150)}]);
        await expectText(
            page,
            '#form-error',
            /cut.npy: the NumPy file has 22 bytes of data; shape \(2, 2\) of >f8 needs 32/,
        );
        await drop(page, '#data', [{name: 'picture.gif', bytes: 'GIF89a'}]);
        await expectText(
            page,
            '#form-error',
            /picture\.gif: unsupported file type \.gif\. Supported: \.json, /,
        );
    });
    await onPage('cross_entropy', async (page) => {
        await drop(page, '#data', [
            {name: 'scores.csv', bytes: 'input.0,input.1,target\n0.2,0.8,1\n0.9,0.1,0\n'},
        ]);
        await expectText(page, '#tensor-input-shape', '(2, 2)');
        await page.locator('#files').setInputFiles(local('../real/digits.safetensors'));
        await expectText(page, '#tensor-input-shape', '(899, 10) float32');
        await expectText(page, '#loaded', 'Read input, target from digits.safetensors.');
    });
});

test('sample batches select their loss', () =>
    onPage('huber', async (page) => {
        await page.locator('#batch').selectOption('diabetes');
        await expectText(page, loss, /^44\.3483/);
        await page.locator('#batch').selectOption('digits');
        await shown(page, 'cross_entropy');
        await expectText(page, loss, /^0\.242322/);
        assert.equal(await page.locator('#heatmap tbody tr').count(), 16);
        assert.equal(await page.locator('#heatmap tbody tr').first().locator('td').count(), 10);
        await page.locator('#batch').selectOption('breast_cancer');
        await shown(page, 'bce_with_logits');
        await expectText(page, loss, /^0\.0979331/);
        // The button of the worst sample selects its curve.
        const worst = page.locator('#worst tbody button').first(),
            sample = await worst.textContent();
        await worst.click();
        await expectText(
            page,
            '#curve-summary',
            new RegExp(`input \\(sample ${sample}\\), all other values fixed`),
        );
    }));

// ---- Curves ----

test('kinks are found and follow the slider', () =>
    onPage('huber', async (page) => {
        await page.locator('#tensor-input').fill('[0.5]');
        await page.locator('#tensor-target').fill('[0]');
        await page.locator('#argument-delta').fill('1');
        await expectText(page, '#curve-summary', /It bends at −1, 1\.$/);
        const slider = page.locator('#arguments input[type=range]');
        await slider.focus();
        for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowRight');
        const delta = Number(await page.locator('#argument-delta').inputValue());
        assert.ok(delta > 1 && delta < 1.5, String(delta));
        await expectText(page, '#curve-summary', new RegExp(`It bends at −${delta}, ${delta}\\.$`));
        await expectText(page, '#curve-legend', /with default parameters/);
        await expectText(page, '#code', new RegExp(`"delta": ${delta}`));
    }));

test('jumps and bends of the derivative are distinguished', async () => {
    const words = async (name, input, target) =>
        onPage(name, async (page) => {
            await page.locator('#tensor-input').fill(input);
            await page.locator('#tensor-target').fill(target);
            for (const weight of await page.locator('#tensor-weight').all()) await weight.fill('');
            await expectText(
                page,
                '#curve-summary',
                new RegExp(
                    `^${name} as a function of input, all other values fixed. Current ` +
                        `value: ${input}\\.`,
                ),
            );
            results[name] = (await page.locator('#curve-summary').textContent()).replace(
                /^.*Current value: \S+\. ?/,
                '',
            );
        });
    const results = {};
    await words('l1', '0.5', '0.25');
    await words('hinge_embedding', '0.5', '-1');
    await words('log_cosh', '0.5', '0');
    await words('bce', '0.5', '1');
    assert.deepEqual(results, {
        l1: 'The derivative jumps at 0.25.',
        hinge_embedding: 'The derivative jumps at 1.5.',
        log_cosh: '',
        bce: '',
    });
});

test('losses are compared in one plot, with errors in their rows', () =>
    onPage('mse', async (page) => {
        await page.locator('#tensor-input').fill('[0.5, 2]');
        await page.locator('#tensor-target').fill('[0, 1]');
        for (const name of ['huber', 'log_cosh', 'bce'])
            await page.getByRole('checkbox', {name, exact: true}).check();
        await expectText(page, '#compare-table', /bce.*input\[1\] is 2/);
        const label = await page.locator('#compare-loss').getAttribute('aria-label');
        assert.match(label, /loss of mse, l1, huber, log_cosh/);
        await expectText(page, '#compare-table tbody tr:nth-child(1) td', '0.625');
        await expectText(page, '#compare-table tbody tr:nth-child(2) td', '0.75');
        await page.getByRole('checkbox', {name: 'l1', exact: true}).uncheck();
        await page.waitForFunction(
            () => !/ l1,/.test(document.getElementById('compare-loss').ariaLabel),
        );
    }));

// ---- Code ----

async function copied(page, tab) {
    await page.getByRole('tab', {name: tab}).click();
    await page.locator('#copy').click();
    await expectText(page, '#copy', 'copied');
    return page.evaluate(() => navigator.clipboard.readText());
}

// Runs the three programs of the page in a folder. Returns the losses that they print.
async function runPrograms(page, folder) {
    const curl = await run('sh', ['-c', await copied(page, 'curl')], {cwd: folder});
    const python = await run('/usr/bin/python3', ['-c', await copied(page, 'Python')], {
        cwd: folder,
    });
    const code = (await copied(page, 'JavaScript')).replaceAll(
        "'lossd'",
        `'${new URL('../../clients/js/index.js', import.meta.url)}'`,
    );
    const javascript = await run(process.execPath, ['--input-type=module', '--eval', code], {
        cwd: folder,
    });
    return [
        JSON.parse(curl.stdout).loss,
        Number(python.stdout),
        Number(javascript.stdout.split(' ')[0]),
    ];
}

test('the programs give the same result', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lossd-programs-'));
    try {
        await onPage('triplet_margin', async (page) => {
            await page.locator('#argument-distance').selectOption('cosine');
            await page.locator('#argument-swap').check();
            await expectText(page, '#code', /"distance": "cosine"/);
            const values = await runPrograms(page, folder),
                expected = Number(await page.locator(loss).first().textContent());
            for (const value of values)
                assert.ok(Math.abs(value - expected) < 1e-6, `${value} is not ${expected}`);
        });
        await onPage('cross_entropy', async (page) => {
            await page.locator('#batch').selectOption('digits');
            await expectText(page, loss, /^0\.242322/);
            const [download] = await Promise.all([
                page.waitForEvent('download'),
                page.getByRole('button', {name: 'save batch.safetensors'}).click(),
            ]);
            await download.saveAs(join(folder, 'batch.safetensors'));
            for (const value of await runPrograms(page, folder))
                assert.ok(Math.abs(value - 0.24232261) < 1e-7, String(value));
        });
    } finally {
        await rm(folder, {recursive: true});
    }
});

test('hess and grad_output are sent, shown, and part of the programs', async () => {
    await onPage('mse', async (page) => {
        await page.locator('#hess').check();
        await page.locator('#tensor-grad_output').fill('3');
        await page
            .locator('#gradient-tensor option[value="Hessian diagonal of input"]')
            .waitFor({state: 'attached'});
        await page.locator('#gradient-tensor').selectOption('Hessian diagonal of input');
        // 3 times 2/3 each.
        await expectText(page, '#gradient-summary', '3 numbers from 2 to 2; norm 3.464');
        await expectText(page, '#worst th:last-child', 'Hessian diagonal of input');
        await expectText(page, '#code', /"grad_output": 3,\s*"hess": true/);
        await page.locator('#tensor-grad_output').fill('[1, 2]');
        await expectText(page, '#tensor-grad_output-error', /grad_output/);
        await page.locator('#reduction').selectOption('none');
        await page.locator('#tensor-grad_output').fill('[1, 2, 4]');
        await expectText(page, '#gradient-summary', '3 numbers from 2 to 8; norm 9.165');
        await drop(page, '#data', [
            {
                name: 'batch.json',
                bytes: JSON.stringify({
                    input: [1, 2, 3],
                    target: [1, 2, 6],
                    reduction: 'mean',
                    hess: false,
                    grad_output: 2,
                }),
            },
        ]);
        await expectText(page, '#gradient-summary', '3 numbers from −4 to 0; norm 4; zeros: 2');
        assert.equal(await page.locator('#hess').isChecked(), false);
    });
    await onPage('ctc', async (page) =>
        assert.equal(await page.locator('#hess').isVisible(), false),
    );
});

test('compared losses share common parameters', () =>
    onPage('cross_entropy', async (page) => {
        // The example has ignore_index -1 and a target of -1.
        await expectText(page, '#compare-table tbody tr:nth-child(2) td', /^−?\d/);
    }));

// ---- Access ----

test('the page can be used with the keyboard alone', () =>
    onPage('mse', async (page) => {
        const focused = () =>
            page.evaluate(
                () => document.activeElement.id || document.activeElement.textContent.trim(),
            );
        const tabTo = async (wanted) => {
            for (let i = 0; i < 60 && (await focused()) !== wanted; i++)
                await page.keyboard.press('Tab');
            assert.equal(await focused(), wanted);
        };
        await page.keyboard.press('Tab');
        assert.equal(await focused(), 'Skip to the results');
        await tabTo('loss');
        await page.keyboard.type('huber');
        await shown(page, 'huber');
        await tabTo('argument-delta');
        await page.keyboard.press('ControlOrMeta+a');
        await page.keyboard.type('2');
        await page.keyboard.press('Tab');
        await page.keyboard.press('ArrowRight');
        assert.notEqual(await page.locator('#argument-delta').inputValue(), '2');
        await tabTo('tensor-input');
        await page.keyboard.press('ControlOrMeta+a');
        await page.keyboard.type('[0, 1, -2]');
        await tabTo('tensor-target');
        await page.keyboard.press('ControlOrMeta+a');
        await page.keyboard.type('[0, 1, -3]');
        await page.keyboard.press('Control+Enter');
        await expectText(page, loss, '0.16666667');
        await tabTo('tab-curl');
        await page.keyboard.press('ArrowRight');
        assert.equal(await focused(), 'tab-python');
        await expectText(page, '#code', /urlopen/);
        await tabTo('copy');
        await page.keyboard.press('Enter');
        await expectText(page, '#copy', 'copied');
    }));

test('narrow screens do not scroll horizontally', async () => {
    for (const name of ['mse', 'cross_entropy', 'triplet_margin']) {
        await onPage(
            name,
            async (page) => {
                if (name === 'cross_entropy') {
                    await page.locator('#batch').selectOption('digits');
                    await page.locator('#heatmap table').waitFor();
                }
                // Errors have enough room.
                if (name === 'mse') {
                    await page.locator('#tensor-input').fill('[0.5, 2, 1]');
                    await page.locator('#compare-losses input[value=bce]').check();
                    const error = page.locator('#compare-table .error').first();
                    await error.waitFor();
                    assert.ok((await error.boundingBox()).width > 120);
                }
                const {inner, whole} = await page.evaluate(() => ({
                    inner: innerWidth,
                    whole: document.documentElement.scrollWidth,
                }));
                assert.ok(whole <= inner, `${name}: ${whole} in ${inner}`);
            },
            {width: 360},
        );
    }
});

test('colors follow the color scheme, charts included', () =>
    onPage('mse', async (page) => {
        const look = () =>
            page.evaluate(() => {
                const canvas = document.querySelector('#curve-loss canvas'),
                    {data} = canvas
                        .getContext('2d')
                        .getImageData(0, 0, canvas.width, canvas.height);
                let sum = 0,
                    count = 0;
                for (let i = 0; i < data.length; i += 4) {
                    if (data[i + 3] < 200) continue;
                    sum += data[i] + data[i + 1] + data[i + 2];
                    count++;
                }
                return {back: getComputedStyle(document.body).backgroundColor, ink: sum / count};
            });
        const light = await look();
        await page.emulateMedia({colorScheme: 'dark'});
        let dark = await look();
        for (let i = 0; i < 200 && dark.ink === light.ink; i++) {
            // charts are redrawn in the next frame
            await page.waitForTimeout(50);
            dark = await look();
        }
        assert.equal(light.back, 'rgb(244, 246, 248)');
        assert.equal(dark.back, 'rgb(18, 23, 29)');
        assert.notEqual(light.ink, dark.ink);
    }));

test('the status of the server is shown', () =>
    onPage('mse', async (page) => {
        await expectText(page, '#status-ready', 'ready');
        await expectText(page, '#status-requests', /^[\d.]+( k)?\/s$/);
        await expectText(page, '#status-queue', /^\d+$/);
        await expectText(page, '#status-memory', /^[\d.]+ MiB$/);
    }));

test('the page works without metrics', () =>
    onPage('mse', async (page) => {
        await page.route('**/metrics', (route) => route.fulfill({status: 404, body: ''}));
        await page.reload();
        await shown(page, 'mse');
        await expectText(page, '#status-ready', 'ready');
        await page.waitForTimeout(300);
        assert.equal(await page.locator('#status-memory').isVisible(), false);
    }));

test('an expired token can be replaced', () =>
    onPage('mse', async (page) => {
        await page.evaluate(() => sessionStorage.setItem('token', 'yesterday'));
        await page.route('**/v1/**', async (route) => {
            if (route.request().headers().authorization === 'Bearer today') await route.continue();
            else
                await route.fulfill({
                    status: 403,
                    contentType: 'application/problem+json',
                    body: '{"status": 403, "detail": "the token is not known"}',
                });
        });
        await page.reload();
        await expectText(page, '#token-error', 'the token is not known');
        await page.locator('#token').fill('today');
        await page.locator('#token').press('Enter');
        await shown(page, 'mse');
        await page.locator('#token').waitFor({state: 'hidden'});
    }));

test('the page asks for a required token', () =>
    onPage('mse', async (page) => {
        // The responses of a server with tokens are simulated.
        await page.route('**/v1/**', async (route) => {
            if (route.request().headers().authorization === 'Bearer open sesame')
                await route.continue();
            else
                await route.fulfill({
                    status: 401,
                    contentType: 'application/problem+json',
                    body: '{"status": 401, "detail": "this token is not known"}',
                });
        });
        await page.reload();
        const field = page.locator('#token');
        await field.fill('sesame');
        await field.press('Enter');
        await expectText(page, '#token-error', 'this token is not known');
        await field.fill('open sesame');
        await field.press('Enter');
        await shown(page, 'mse');
        await expectText(page, '#code', /-H "Authorization: Bearer \$TOKEN"/);
        await field.waitFor({state: 'hidden'});
    }));

test('an unreachable server is an error', () =>
    onPage('mse', async (page) => {
        await page.route('**/v1/**', (route) => route.abort());
        await page.locator('#tensor-input').fill('[1, 2, 4]');
        await expectText(page, '#form-error', /cannot reach/);
        await page.unroute('**/v1/**');
        await page.locator('#form button[type=submit]').click();
        await expectText(page, loss, '4.75');
    }));
