// Several losses over the same tensors, as JSON: what is sent and what comes back.

import {fromBase64, toBase64} from './base64.js';
import {checkFields, isWanted, lossOf, shown, wanted} from './request.js';
import {Tensor, arrayOf} from './tensor.js';

/** The body of a request. Typed arrays go as base64; plain numbers go as they are, and the server decides what they are. */
export function bodyOf(fields) {
    checkFields(fields);
    const {losses} = fields;
    if (!Array.isArray(losses)) throw new TypeError(`losses is ${shown(losses)}; it must be an array of names, or of objects with a name 'loss'`);
    losses.forEach((loss, i) => {
        if (typeof loss !== 'string') checkFields(loss, `losses[${i}]`);
    });
    const known = losses.map((loss) => lossOf(typeof loss === 'string' ? loss : loss.loss));
    const {losses: entries, ...shared} = fields;
    return JSON.stringify({encoding: 'base64', ...encoded(shared, known),
        losses: entries.map((loss, i) => (typeof loss === 'string' ? loss : encoded(loss, [known[i]])))});
}

const encoded = (fields, losses) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, field(value, name, losses)]));

// null takes away what holds for all; the server knows it of tensors and parameters.
function field(value, name, losses) {
    if (isWanted(name)) return wanted(name, value) ?? false;
    if (typeof value === 'function' || typeof value === 'symbol') throw new TypeError(`${name} is a ${typeof value}`);
    if (holdsBigInt(value)) return ofBigInts(value, name, losses);
    if (Array.isArray(value)) return Array.from(value, (element, i) => inner(element, `${name}[${i}]`));
    if (value !== null && typeof value === 'object') return tensor(value, name);
    return number(value);
}

// An element of an array. JSON would make null of what is undefined, and the server NaN of that.
function inner(value, path) {
    if (Array.isArray(value)) return Array.from(value, (element, i) => inner(element, `${path}[${i}]`));
    if (!['number', 'boolean', 'string'].includes(typeof value)) throw new TypeError(`${path} is ${shown(value)}, where a number should be`);
    return number(value);
}

// JSON has no words for these; the server knows the strings.
const number = (value) => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value);

function holdsBigInt(value) {
    if (Array.isArray(value)) return value.some(holdsBigInt);
    return typeof value === 'bigint' || (Array.isArray(value?.data) && holdsBigInt(value.data));
}

// BigInts are integers of 64 bits, as a BigInt64Array is, except where every loss wants real numbers or a parameter.
function ofBigInts(value, name, losses) {
    const kinds = losses.map((loss) => loss?.tensors[name]?.kind);
    if (kinds.some((kind) => kind === 'index' || kind === 'index or probability')) return base64(Tensor.from(value, 'int64', name));
    return typeof value === 'object' ? base64(Tensor.from(value, 'float64', name)) : Number(value);
}

function tensor(value, name) {
    if (Array.isArray(value.data)) return {...value, data: Array.from(value.data, (element, i) => inner(element, `${name}.data[${i}]`))};
    return base64(Tensor.from(value, undefined, name));
}

function base64({shape, dtype, data}) {
    return {shape, dtype, data: {buffer: toBase64(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)), encoding: 'base64'}};
}

/** A result as Client.loss gives it, from one of the answer's. */
export function resultOf({loss, grad = {}, hess = {}, nonfinite = 0, warnings = [], ...others}) {
    const {reduction, dtype} = others;
    return {...others, loss: reduction === 'none' ? tensorOf(loss, dtype) : parsed(loss), grad: tensorsOf(grad, dtype), hess: tensorsOf(hess, dtype), nonfinite, warnings};
}

const parsed = (value) => (typeof value === 'string' ? Number(value) : value);
const tensorsOf = (fields, dtype) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, tensorOf(value, dtype)]));

function tensorOf(value, computed) {
    if (typeof value !== 'object') return Tensor.from(parsed(value), computed);
    const {shape, dtype, data: {buffer}} = value;
    return new Tensor(shape, new (arrayOf(dtype))(fromBase64(buffer).buffer), dtype);
}
