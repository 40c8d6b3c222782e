import assert from 'node:assert/strict';
import {readFile} from 'node:fs/promises';
import {test} from 'node:test';

import {Tensor, decode, encode} from '../index.js';

const file = (header, data = []) => {
    const text = new TextEncoder().encode(
        typeof header === 'string' ? header : JSON.stringify(header),
    );
    const bytes = new Uint8Array(8 + text.length + data.length);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
    bytes.set(text, 8);
    bytes.set(data, 8 + text.length);
    return bytes;
};

test('tensors of every dtype and metadata round-trip', () => {
    const tensors = {
        flag: new Tensor([3], new Uint8Array([1, 0, 1]), 'bool'),
        byte: new Tensor([], new Uint8Array([200])),
        short: new Tensor([1], new Uint16Array([65535]), 'uint16'),
        word: new Tensor([1], new Uint32Array([4294967295])),
        long: new Tensor([1], new BigUint64Array([18446744073709551615n])),
        half: new Tensor([1], new Uint16Array([0x3c00]), 'bfloat16'),
        index: new Tensor([2, 1], new BigInt64Array([-1n, 2n ** 60n])),
        single: new Tensor([0, 5], new Float32Array(0)),
        double: new Tensor([2], new Float64Array([Math.PI, -0])),
        whole: new Tensor([2], new Int32Array([-5, 6])),
        short: new Tensor([1], new Int16Array([-7])),
        signed: new Tensor([1], new Int8Array([-8])),
    };
    const {tensors: back, metadata} = decode(encode(tensors, {split: 'held out, ä'}));
    assert.deepEqual({...back}, tensors);
    assert.deepEqual(metadata, {split: 'held out, ä'});
});

test('files of another library are read, at any alignment', async () => {
    const bytes = await readFile(
        new URL('../../../tests/real/digits.safetensors', import.meta.url),
    );
    const {tensors} = decode(bytes);
    assert.deepEqual(tensors.input.shape, [899, 10]);
    assert.equal(tensors.target.dtype, 'int64');
    const moved = new Uint8Array(bytes.length + 3);
    moved.set(bytes, 3);
    assert.deepEqual(decode(moved.subarray(3)).tensors, tensors);
});

test('invalid files are errors', () => {
    const of = (entry, data) => file({x: entry}, data);
    const wrong = [
        [new Uint8Array(7), /at least 8 bytes; this one has 7/],
        [file('{}').fill(255, 0, 8), /header length is 18446744073709551615, but 2 bytes follow/],
        [file('{'), /header is not JSON/],
        [file('[]'), /header is not a JSON object/],
        [
            of({dtype: 'F8', shape: [], data_offsets: [0, 1]}, [0]),
            /x has dtype F8; it must be one of F64, /,
        ],
        [
            of({dtype: 'U8', shape: [2], data_offsets: [0, 2]}, [0]),
            /x has data_offsets \[0,2\]; they must be two offsets, in order, in 1 bytes of data/,
        ],
        [of({dtype: 'U8', shape: [1], data_offsets: [1, 0]}, [0]), /x has data_offsets \[1,0\]/],
        [of({dtype: 'U8', shape: [1]}, [0]), /x has data_offsets \[undefined\]/],
        [
            of({dtype: 'F32', shape: [1], data_offsets: [0, 3]}, [0, 0, 0]),
            /x has 3 bytes, which does not match shape \(1\) of F32/,
        ],
        [of(null), /x has dtype undefined/],
    ];
    for (const [bytes, message] of wrong)
        assert.throws(() => decode(bytes), {name: 'RangeError', message});
});
