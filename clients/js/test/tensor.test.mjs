import assert from 'node:assert/strict';
import {test} from 'node:test';

import {Tensor} from '../index.js';

const bitsOf = (tensor) => new Uint16Array(tensor.data.buffer);

test('numbers, nested arrays, typed arrays and parts become tensors', () => {
    assert.deepEqual(Tensor.from(2), new Tensor([], new Float32Array([2])));
    assert.deepEqual(
        Tensor.from([
            [1, 2],
            [3, 4],
            [5, 6],
        ]),
        new Tensor([3, 2], new Float32Array([1, 2, 3, 4, 5, 6])),
    );
    assert.deepEqual(Tensor.from([], 'float64'), new Tensor([0], new Float64Array(0)));
    assert.deepEqual(
        Tensor.from({dtype: 'uint16', data: [1, 65535]}).numbers(),
        new Uint16Array([1, 65535]),
    );
    assert.deepEqual(
        Tensor.from({dtype: 'uint64', data: [1, 2n]}),
        new Tensor([2], new BigUint64Array([1n, 2n])),
    );
    assert.throws(
        () => Tensor.from({dtype: 'uint16', data: [1, -1]}),
        /element 1 is -1, which is out of range for uint16/,
    );
    assert.throws(
        () => Tensor.from({dtype: 'int8', data: [128]}),
        /element 0 is 128, which is out of range for int8/,
    );
    assert.deepEqual(Tensor.from([true, false]), new Tensor([2], new Uint8Array([1, 0]), 'bool'));
    assert.deepEqual(
        Tensor.from([[3n, 4]], 'int64'),
        new Tensor([1, 2], new BigInt64Array([3n, 4n])),
    );
    assert.deepEqual(
        Tensor.from({shape: [2, 1], data: new Int8Array(2)}),
        new Tensor([2, 1], new Int8Array(2)),
    );
    assert.deepEqual(
        Tensor.from({shape: [2, 1], dtype: 'float64', data: [1, 2]}),
        new Tensor([2, 1], new Float64Array([1, 2])),
    );
    const data = new Float32Array(4);
    assert.equal(Tensor.from({shape: [2, 2], data}).data, data, 'typed arrays are not copied');
});

test('tensors convert to nested arrays and JSON', () => {
    const tensor = Tensor.from([
        [[1], [2]],
        [[3], [4]],
    ]);
    assert.deepEqual(tensor.nested(), [
        [[1], [2]],
        [[3], [4]],
    ]);
    assert.equal(JSON.stringify({tensor}), '{"tensor":[[[1],[2]],[[3],[4]]]}');
    assert.equal(Tensor.from(3).nested(), 3);
    assert.equal(Tensor.from([7n], 'int64').item(), 7);
    assert.throws(() => Tensor.from([1, 2]).item(), /shape \(2\) is not one number/);
});

test('invalid tensors are errors with their position', () => {
    const wrong = [
        [[1, [2]], /input: found an array at \[1\]; expected a number/],
        [
            [[1, 2], [3]],
            /input: found an array of length 1 at \[1\]; expected an array of length 2/,
        ],
        [[[1, 2], 3], /input: found 3 at \[1\]; expected an array of length 2/],
        [['1'], /input: found "1" at \[0\]; expected a number/],
        [{shape: [3], data: [1, 2]}, /input: shape \(3\) has 3 elements, but the data has 2/],
        [
            {
                shape: [4],
                data: [
                    [1, 2],
                    [3, 4],
                ],
            },
            /input: the data has shape \(2, 2\), not \(4\)/,
        ],
        [
            {shape: [-1], data: [1]},
            /input: shape is \(-1\); dimensions must be integers of at least 0/,
        ],
        [{data: [1], type: 'float32'}, /input: a tensor has no field 'type'/],
        [
            {dtype: 'float8', data: [1]},
            /input: no such dtype 'float8'; the dtypes are float64, /,
        ],
        [{dtype: 'int32', data: [1.5]}, /input: element 0 is 1.5; it must be an integer/],
        [
            {dtype: 'float32', data: new Float64Array(1)},
            /input: a Float64Array cannot contain float32; use a Float32Array/,
        ],
        [new Uint16Array(2), /input: the dtype of a Uint16Array is ambiguous; specify it/],
    ];
    for (const [value, message] of wrong)
        assert.throws(() => Tensor.from(value, 'float32', 'input'), {name: 'TypeError', message});
});

test('every float16 and bfloat16 round-trips', () => {
    for (const dtype of ['float16', 'bfloat16']) {
        const all = Uint16Array.from({length: 65536}, (_, bits) => bits);
        const numbers = new Tensor([65536], all, dtype).numbers();
        const back = bitsOf(Tensor.from([...numbers], dtype));
        for (let bits = 0; bits < 65536; bits++) {
            if (!Number.isNaN(numbers[bits])) assert.equal(back[bits], bits);
        }
    }
});

test('float16 and bfloat16 round to nearest even', () => {
    const half = (value) => bitsOf(Tensor.from([value], 'float16'))[0],
        brain = (value) => bitsOf(Tensor.from([value], 'bfloat16'))[0];
    assert.equal(half(1 + 2 ** -11), 0x3c00);
    assert.equal(half(1 + 3 * 2 ** -11), 0x3c02);
    assert.equal(half(2 - 2 ** -12), 0x4000, 'a carry raises the exponent');
    assert.equal(half(65519), 0x7bff);
    assert.equal(half(-65520), 0xfc00);
    assert.equal(half(2 ** -25), 0);
    assert.equal(half(3 * 2 ** -26), 1);
    assert.equal(brain(1 + 2 ** -8), 0x3f80);
    assert.equal(brain(1 + 3 * 2 ** -8), 0x3f82);
    assert.equal(brain(-Infinity), 0xff80);
});
