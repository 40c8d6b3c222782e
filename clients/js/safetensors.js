// The safetensors format: https://github.com/huggingface/safetensors

import {Tensor, arrayOf} from './tensor.js';

const codes = {
    float64: 'F64',
    float32: 'F32',
    float16: 'F16',
    bfloat16: 'BF16',
    int64: 'I64',
    int32: 'I32',
    int16: 'I16',
    int8: 'I8',
    uint64: 'U64',
    uint32: 'U32',
    uint16: 'U16',
    uint8: 'U8',
    bool: 'BOOL',
};
const dtypes = Object.fromEntries(Object.entries(codes).map(([dtype, code]) => [code, dtype]));

/**
 * Encodes a file.
 * @param {Object<string, Tensor>} tensors
 * @param {Object<string, string>} [metadata]
 * @returns {Uint8Array}
 */
export function encode(tensors, metadata) {
    const header = metadata ? {__metadata__: metadata} : {};
    // Sort the widest elements first, so that all are aligned.
    const entries = Object.entries(tensors).sort(
        ([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT,
    );
    let size = 0;
    for (const [name, {dtype, shape, data}] of entries) {
        header[name] = {
            dtype: codes[dtype],
            shape,
            data_offsets: [size, (size += data.byteLength)],
        };
    }
    const text = new TextEncoder().encode(JSON.stringify(header));
    const begin = 8 + Math.ceil(text.length / 8) * 8;
    const file = new Uint8Array(begin + size);
    new DataView(file.buffer).setBigUint64(0, BigInt(begin - 8), true);
    file.set(text, 8);
    file.fill(0x20, 8 + text.length, begin);
    let place = begin;
    for (const [, {data}] of entries) {
        file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), place);
        place += data.byteLength;
    }
    return file;
}

/**
 * Decodes a file. Throws a RangeError if it is invalid. Tensors are views of the bytes if these are
 * aligned, otherwise copies.
 * @param {ArrayBuffer|Uint8Array} file
 * @returns {{tensors: Object<string, Tensor>, metadata: Object<string, string>}}
 */
export function decode(file) {
    const bytes =
        file instanceof ArrayBuffer
            ? new Uint8Array(file)
            : new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
    if (bytes.length < 8)
        throw new RangeError(
            `a safetensors file has at least 8 bytes; this one has ${bytes.length}`,
        );
    const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
    if (length > bytes.length - 8)
        throw new RangeError(
            `the header length is ${length}, but ${bytes.length - 8} bytes follow`,
        );
    const begin = 8 + Number(length);
    const {__metadata__: metadata, ...entries} = parse(bytes.subarray(8, begin));
    const data = bytes.subarray(begin);
    return {
        tensors: Object.fromEntries(
            Object.entries(entries).map(([name, entry]) => [name, view(name, entry, data)]),
        ),
        metadata: metadata ?? {},
    };
}

function parse(header) {
    let parsed;
    try {
        parsed = JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(header));
    } catch (error) {
        throw new RangeError(`the header is not JSON: ${error.message}`);
    }
    if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed))
        throw new RangeError('the header is not a JSON object');
    return parsed;
}

function view(name, entry, data) {
    const {dtype: code, shape, data_offsets: offsets} = entry ?? {};
    if (!Object.hasOwn(dtypes, code))
        throw new RangeError(
            `${name} has dtype ${code}; it must be one of ${Object.keys(dtypes).join(', ')}`,
        );
    const [from, to] = Array.isArray(offsets) ? offsets : [];
    if (
        !Number.isSafeInteger(from) ||
        !Number.isSafeInteger(to) ||
        from < 0 ||
        from > to ||
        to > data.length
    ) {
        throw new RangeError(
            `${name} has data_offsets [${offsets}]; they must be two offsets, in order, in ` +
                `${data.length} bytes of data`,
        );
    }
    const dtype = dtypes[code],
        type = arrayOf(dtype),
        width = type.BYTES_PER_ELEMENT;
    if (
        !Array.isArray(shape) ||
        shape.reduce((product, extent) => product * extent, width) !== to - from
    ) {
        throw new RangeError(
            `${name} has ${to - from} bytes, which does not match shape (${shape}) of ${code}`,
        );
    }
    const place = data.byteOffset + from,
        aligned = place % width === 0;
    const array = aligned
        ? new type(data.buffer, place, (to - from) / width)
        : new type(data.slice(from, to).buffer);
    return new Tensor(shape, array, dtype);
}
