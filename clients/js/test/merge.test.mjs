// merge: the parts of a batch have the bits of the whole batch.

import assert from 'node:assert/strict';
import {test} from 'node:test';

import {Client, Tensor, merge} from '../index.js';

const url = process.env.LOSSD_URL;
const client = new Client(url);
const ROWS = 61;

// Numbers of very different magnitudes.
const input = new Float64Array(ROWS).map((_, i) => Math.sin(i + 1) * 10 ** ((i * 7) % 30)),
    target = new Float64Array(ROWS).map((_, i) => Math.cos(i) * 1e-3),
    sample_weight = new Float64Array(ROWS).map((_, i) => 1 / (i + 3));

const bounds = (parts) =>
    Array.from({length: parts}, (_, i) => [
        Math.floor((ROWS * i) / parts),
        Math.floor((ROWS * (i + 1)) / parts),
    ]);
const rows = (start, end) => ({
    input: input.subarray(start, end),
    target: target.subarray(start, end),
    sample_weight: sample_weight.subarray(start, end),
});

for (const parts of [1, 2, 7])
    test(`${parts} parts have the result of the whole batch`, async () => {
        const whole = await client.mse({input, target, sample_weight, grad: true});
        const results = await Promise.all(
            bounds(parts).map(([start, end]) =>
                client.mse({...rows(start, end), partial: true, offset: start}),
            ),
        );
        const merged = merge(results);
        assert.equal(merged.loss, whole.loss);
        assert.deepEqual(merge(results.reverse()).partial, merged.partial);
        const response = await fetch(`${url}/v1/merge`, {
            method: 'POST',
            body: JSON.stringify({partials: results.map(({partial}) => partial)}),
            headers: {'Content-Type': 'application/json'},
        });
        const served = await response.json();
        assert.deepEqual(served.partial, merged.partial);
        assert.equal(served.loss, merged.loss);
        for (const [start, end] of bounds(parts)) {
            const {grad} = await client.mse({
                ...rows(start, end),
                divisor: merged.divisor,
                grad: true,
            });
            assert.deepEqual(grad.input.data, whole.grad.input.data.slice(start, end));
        }
    });

test('sums are rounded like those of the server', async () => {
    const cases = [
        [1, 2 ** -53],
        [1, 2 ** -53, 2 ** -105],
        [1, 3 * 2 ** -53],
        [5e-324],
        [2 ** -1022, -5e-324],
        [Number.MAX_VALUE, Number.MAX_VALUE],
        [Number.MAX_VALUE, 2 ** 969],
        [-1, 1],
        [],
        [NaN],
        [Infinity, 1],
    ];
    for (const numbers of cases) {
        // nll of one class is -x.
        const x = new Float64Array(numbers.map((number) => -number));
        const part = await client.nll({
            input: new Tensor([x.length, 1], x, 'float64'),
            target: new Int32Array(x.length),
            reduction: 'sum',
            partial: true,
        });
        const merged = merge([part]);
        assert.equal(merged.loss, part.loss, String(numbers));
        assert.deepEqual(merged.partial, part.partial);
    }
});

test('partial results that do not fit are rejected', async () => {
    const {partial} = await client.huber({
        input: [1, 2],
        target: [0, 0],
        delta: 0.5,
        partial: true,
        offset: 0,
    });
    const changes = [
        [{parameters: {delta: 1}}, 'partials[1].parameters.delta is 1, but 0.5 in the first'],
        [{dtype: 'float64'}, 'partials[1].dtype is "float64", but "float32"'],
        [{rows: [[1, 3]]}, 'rows 1 to 1 are in both partials[0] and partials[1]'],
        [{rows: [[3, 3]]}, 'the first row must be less than the end'],
        [{format: 'lossd-partial-2'}, "this version reads 'lossd-partial-1'"],
        [{more: 1}, 'missing or unknown fields: more'],
        [{sum: '0x2p+0'}, 'it must be an odd'],
        [{sum: '0x1p+1101'}, 'it must be an odd'],
        [{sum: '0x1p+1100'}, 'the merged sum is out of range'],
        [{nan: -1}, 'partials[1].nan is -1; it must be a whole number'],
        [{terms: 2 ** 53 - 1}, 'the merged terms are out of range'],
        [{warnings: ['?']}, 'unknown warnings: ?'],
    ];
    for (const [change, message] of changes)
        assert.throws(
            () => merge([partial, {...partial, rows: [[2, 4]], ...change}]),
            (error) => error instanceof RangeError && error.message.includes(message),
            message,
        );
    assert.throws(() => merge([]), /no partial results/);
    assert.throws(() => merge([{loss: 1}]), /not a partial result/);
    assert.equal(merge([JSON.stringify(partial)]).loss, 0.625);
});
