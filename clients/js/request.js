// Splits the fields of a call into tensors, which go into the body, and the rest, which goes into
// the query.

import {losses} from './losses.js';
import {Tensor, shapeOf} from './tensor.js';

const isTensor = (value) => typeof value === 'object' && value !== null;

/**
 * Returns the table entry of a loss by name or alias; undefined if this version does not know it.
 */
export function lossOf(name) {
    const known = Object.keys(losses).find(
        (own) => own === name || losses[own].aliases.includes(name),
    );
    return known && losses[known];
}

/** Formats a value for a message. */
export function shown(value) {
    const text =
        typeof value === 'string'
            ? `'${value}'`
            : Array.isArray(value)
              ? `[${value}]`
              : String(value);
    return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

export function checkFields(fields, what = 'the fields') {
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
        throw new TypeError(
            `${what} is ${shown(fields)}; it must be an object, as in {input, target}`.replace(
                'the fields is',
                'the fields are',
            ),
        );
    }
}

/**
 * Splits fields into tensors and arguments.
 * @param {{name: string, tensors: Object<string, {kind: string, prediction?: boolean}>, nullable?:
 *     string[]}} loss
 * @param {Object} fields by their API names
 * @returns {{tensors: Object<string, Tensor>, query: URLSearchParams}}
 */
export function split(loss, fields) {
    checkFields(fields);
    const tensors = {},
        query = new URLSearchParams();
    const plain = computedDtype(loss, fields);
    for (const [name, value] of Object.entries(fields)) {
        if (value === undefined || (value === null && !loss.nullable?.includes(name))) continue;
        const kind = kindOf(loss, name, value);
        if (kind) {
            tensors[name] = Tensor.from(
                value,
                isIndices(loss, kind, value, fields) ? 'int64' : plain,
                name,
            );
        } else {
            const text = argument(loss, name, value);
            if (text !== null) query.set(name, text);
        }
    }
    return {tensors, query};
}

export const isDerivativeOption = (name) => name === 'grad' || name === 'hess';

/** Returns the requested derivatives: true, or an array of names; null for none. */
export function derivativeNames(name, value) {
    if (value === undefined || value === null || value === false || value === '') return null;
    const names = typeof value === 'string' ? value.split(',') : value;
    if (
        value !== true &&
        !(Array.isArray(names) && names.every((tensor) => typeof tensor === 'string'))
    ) {
        throw new TypeError(
            `${name} is ${shown(value)}; it must be true, false, or an array of tensor names`,
        );
    }
    return value === true || names.length > 0 ? names : null;
}

// Formats an argument for the query; null if it has no effect.
function argument(loss, name, value) {
    if (isDerivativeOption(name))
        return derivativeNames(name, value) && String(derivativeNames(name, value));
    if (value === null || ['number', 'boolean', 'bigint', 'string'].includes(typeof value))
        return String(value);
    const tensors = [...Object.keys(loss.tensors), 'sample_weight', 'grad_output'].join(', ');
    throw new TypeError(
        `${name} is ${shown(value)}, but ${name} is not a tensor; the tensors are ${tensors}`,
    );
}

// Returns the kind of a tensor; undefined if the field is not a tensor.
function kindOf(loss, name, value) {
    if (Object.hasOwn(loss.tensors, name)) return loss.tensors[name].kind;
    return name === 'sample_weight' || (name === 'grad_output' && isTensor(value))
        ? 'real'
        : undefined;
}

// Returns the dtype of plain numbers: that of the computation, as in JSON requests.
function computedDtype(loss, {dtype, ...fields}) {
    const isDouble = (value) =>
        value instanceof Float64Array ||
        value?.dtype === 'float64' ||
        value?.data instanceof Float64Array;
    if (dtype !== undefined && dtype !== null) return dtype === 'float64' ? 'float64' : 'float32';
    return Object.entries(loss.tensors).some(
        ([name, {prediction}]) => prediction && isDouble(fields[name]),
    )
        ? 'float64'
        : 'float32';
}

// Returns true if plain numbers are class indices. A target that can be either contains
// probabilities if it has the shape of the predictions.
function isIndices(loss, kind, value, fields) {
    if (kind !== 'index or probability') return kind === 'index';
    const [first] = Object.keys(loss.tensors);
    return shapeOf(value).join() !== shapeOf(fields[first]).join();
}
