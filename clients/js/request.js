// From what a caller asks to what is sent: tensors for the body, everything else for the query.

import {Tensor, shapeOf} from './tensor.js';

const isTensor = (value) => typeof value === 'object' && value !== null;

/**
 * @param {{name: string, tensors: Object<string, {kind: string, prediction?: boolean}>}} loss
 * @param {Object} fields by the names that the server knows
 * @returns {{tensors: Object<string, Tensor>, query: URLSearchParams}}
 */
export function split(loss, fields) {
    const tensors = {}, query = new URLSearchParams();
    const plain = computing(loss, fields);
    for (const [name, value] of Object.entries(fields)) {
        if (value === undefined || value === null) continue;
        const kind = kindOf(loss, name, value);
        if (kind) {
            tensors[name] = Tensor.from(value, isIndices(loss, kind, value, fields) ? 'int64' : plain, name);
        } else {
            query.set(name, Array.isArray(value) ? value.join(',') : String(value));
        }
    }
    return {tensors, query};
}

// What a field's numbers are; undefined where it is no tensor.
function kindOf(loss, name, value) {
    if (Object.hasOwn(loss.tensors, name)) return loss.tensors[name].kind;
    return name === 'sample_weight' || (name === 'grad_output' && isTensor(value)) ? 'real' : undefined;
}

// Plain numbers become what is computed in, as they do in a JSON request.
function computing(loss, {dtype, ...fields}) {
    const isDouble = (value) => value instanceof Float64Array || value?.dtype === 'float64' || value?.data instanceof Float64Array;
    if (dtype !== undefined && dtype !== null) return dtype === 'float64' ? 'float64' : 'float32';
    return Object.entries(loss.tensors).some(([name, {prediction}]) => prediction && isDouble(fields[name])) ? 'float64' : 'float32';
}

// Whether plain numbers are class indices. A target that could be either is one of probabilities where it has the shape of the predictions.
function isIndices(loss, kind, value, fields) {
    if (kind !== 'index or probability') return kind === 'index';
    const [first] = Object.keys(loss.tensors);
    return shapeOf(value).join() !== shapeOf(fields[first]).join();
}
