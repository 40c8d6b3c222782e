// Several losses over the same tensors, as JSON: what is sent and what comes back.

import {fromBase64, toBase64} from './base64.js';
import {Tensor, arrayOf} from './tensor.js';

/** The body of a request. Typed arrays go as base64; plain numbers go as they are, and the server decides what they are. */
export function bodyOf(fields) {
    return JSON.stringify({encoding: 'base64', ...encoded(fields)});
}

function encoded(fields) {
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, name === 'losses' ? value.map(entry) : field(value)]));
}

const entry = (loss) => (typeof loss === 'string' ? loss : encoded(loss));

function field(value) {
    if (Array.isArray(value)) return value.map(field);
    if (value !== null && typeof value === 'object') return tensor(value);
    // JSON has no words for these; the server knows the strings.
    return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? String(value) : value;
}

function tensor(value) {
    if (Array.isArray(value.data)) return {...value, data: field(value.data)};
    const {shape, dtype, data} = Tensor.from(value);
    return {shape, dtype, data: {buffer: toBase64(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)), encoding: 'base64'}};
}

/** A result as Client.loss gives it, from one of the answer's. */
export function resultOf({loss, grad = {}, hess = {}, nonfinite = 0, warnings = [], ...others}) {
    const {reduction, dtype} = others;
    return {...others, loss: reduction === 'none' ? tensorOf(loss, dtype) : number(loss), grad: tensorsOf(grad, dtype), hess: tensorsOf(hess, dtype), nonfinite, warnings};
}

const number = (value) => (typeof value === 'string' ? Number(value) : value);
const tensorsOf = (fields, dtype) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, tensorOf(value, dtype)]));

function tensorOf(value, computed) {
    if (typeof value !== 'object') return Tensor.from(number(value), computed);
    const {shape, dtype, data: {buffer}} = value;
    return new Tensor(shape, new (arrayOf(dtype))(fromBase64(buffer).buffer), dtype);
}
