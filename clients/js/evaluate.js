// JSON bodies of requests and responses that evaluate several losses over the same tensors.

import {fromBase64, toBase64} from './base64.js';
import {checkFields, isDerivativeOption, lossOf, shown, derivativeNames} from './request.js';
import {Tensor, arrayOf} from './tensor.js';

/** Returns the body of a request. Typed arrays become base64; plain numbers stay JSON numbers. */
export function bodyOf(fields) {
    checkFields(fields);
    const {losses} = fields;
    if (!Array.isArray(losses))
        throw new TypeError(
            `losses is ${shown(losses)}; it must be an array of names, or of objects ` +
                `with a field 'loss'`,
        );
    losses.forEach((loss, i) => {
        if (typeof loss !== 'string') checkFields(loss, `losses[${i}]`);
    });
    const known = losses.map((loss) => lossOf(typeof loss === 'string' ? loss : loss.loss));
    const {losses: entries, ...shared} = fields;
    return JSON.stringify({
        encoding: 'base64',
        ...encoded(shared, known),
        losses: entries.map((loss, i) =>
            typeof loss === 'string' ? loss : encoded(loss, [known[i]]),
        ),
    });
}

const encoded = (fields, losses) =>
    Object.fromEntries(
        Object.entries(fields).map(([name, value]) => [name, field(value, name, losses)]),
    );

// Converts a field to JSON; `losses` are those that it applies to. null stays null: in the entry of
// a loss, it overrides a shared tensor or parameter.
function field(value, name, losses) {
    if (isDerivativeOption(name)) return derivativeNames(name, value) ?? false;
    if (typeof value === 'function' || typeof value === 'symbol')
        throw new TypeError(`${name} is a ${typeof value}, which JSON cannot represent`);
    if (containsBigInt(value)) return bigIntField(value, name, losses);
    if (Array.isArray(value))
        return Array.from(value, (element, i) => inner(element, `${name}[${i}]`));
    if (value !== null && typeof value === 'object') return tensor(value, name);
    return number(value);
}

// Checks an element of an array: JSON converts undefined to null, and the server converts null to
// NaN.
function inner(value, path) {
    if (Array.isArray(value))
        return Array.from(value, (element, i) => inner(element, `${path}[${i}]`));
    if (!['number', 'boolean', 'string'].includes(typeof value))
        throw new TypeError(`${path} is ${shown(value)}; it must be a number`);
    return number(value);
}

// JSON has no NaN and infinities; the server accepts them as strings.
const number = (value) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;

function containsBigInt(value) {
    if (Array.isArray(value)) return value.some(containsBigInt);
    return typeof value === 'bigint' || (Array.isArray(value?.data) && containsBigInt(value.data));
}

// BigInts are int64, like a BigInt64Array, unless the field is a real tensor or a parameter in
// every loss.
function bigIntField(value, name, losses) {
    const kinds = losses.map((loss) => loss?.tensors[name]?.kind);
    if (kinds.some((kind) => kind === 'index' || kind === 'index or probability'))
        return base64(Tensor.from(value, 'int64', name));
    return typeof value === 'object' ? base64(Tensor.from(value, 'float64', name)) : Number(value);
}

function tensor(value, name) {
    if (Array.isArray(value.data))
        return {
            ...value,
            data: Array.from(value.data, (element, i) => inner(element, `${name}.data[${i}]`)),
        };
    return base64(Tensor.from(value, undefined, name));
}

function base64({shape, dtype, data}) {
    return {
        shape,
        dtype,
        data: {
            buffer: toBase64(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
            encoding: 'base64',
        },
    };
}

/** Converts a result in the response to what Client.loss returns. */
export function resultOf({loss, grad = {}, hess = {}, nonfinite = 0, warnings = [], ...others}) {
    const {reduction, dtype} = others;
    return {
        ...others,
        loss: reduction === 'none' ? tensorOf(loss, dtype) : parsed(loss),
        grad: tensorsOf(grad, dtype),
        hess: tensorsOf(hess, dtype),
        nonfinite,
        warnings,
    };
}

const parsed = (value) => (typeof value === 'string' ? Number(value) : value);
const tensorsOf = (fields, dtype) =>
    Object.fromEntries(
        Object.entries(fields).map(([name, value]) => [name, tensorOf(value, dtype)]),
    );

function tensorOf(value, computed) {
    if (typeof value !== 'object') return Tensor.from(parsed(value), computed);
    const {
        shape,
        dtype,
        data: {buffer},
    } = value;
    return new Tensor(shape, new (arrayOf(dtype))(fromBase64(buffer).buffer), dtype);
}
