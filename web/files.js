// Reads files: tensors by name and, for JSON, the other fields of a request.

import {decodeNpy} from './npy.js';
import {TextError, cellsOf, fromCells, fromNested, isNumber, parseJson} from './numbers.js';
import {decode} from './safetensors.js';

const unnamed = ''; // the key of a tensor without a name

/**
 * @param {File} file
 * @returns {Promise<{tensors: Object<string, {shape: number[], data: *}>, fields: Object}>} the key
 *     of an unnamed tensor is ''
 * @throws {TextError|RangeError} if the file is invalid
 */
export async function readFile(file) {
    const extension = file.name.slice(file.name.lastIndexOf('.') + 1).toLowerCase();
    const read = {
        json: readJson,
        npy: readNpy,
        safetensors: readSafetensors,
        csv: readCsv,
        tsv: readCsv,
        txt: readCsv,
    }[extension];
    if (!read)
        throw new TextError(
            `${file.name}: unsupported file type .${extension}. Supported: .json, .npy, ` +
                `.safetensors, .csv, .tsv, .txt`,
        );
    try {
        return {fields: {}, ...(await read(file))};
    } catch (error) {
        if (error instanceof TextError || error instanceof RangeError)
            throw new TextError(`${file.name}: ${error.message}`);
        throw error;
    }
}

async function readSafetensors(file) {
    return {tensors: decode(await file.arrayBuffer()).tensors};
}

async function readNpy(file) {
    return {tensors: {[unnamed]: decodeNpy(await file.arrayBuffer())}};
}

// A request body, or nested arrays.
async function readJson(file) {
    const value = parseJson(await file.text());
    if (Array.isArray(value)) return {tensors: {[unnamed]: fromNested(value)}};
    const tensors = {},
        fields = {};
    for (const [name, field] of Object.entries(value)) {
        if (field === null) continue;
        if (Array.isArray(field) && name !== 'grad' && name !== 'hess')
            tensors[name] = fromNested(field);
        else if (Array.isArray(field?.data))
            tensors[name] = {...fromNested(field.data), ...(field.shape && {shape: field.shape})};
        else fields[name] = field;
    }
    return {tensors, fields};
}

// With a header: one tensor per name, from one column, or from several columns called name or
// name.0, name.1 and so on.
async function readCsv(file) {
    const [head, ...rows] = cellsOf(await file.text());
    if (head === undefined) throw new TextError('the file contains no numbers');
    if (head.every(isNumber)) return {tensors: {[unnamed]: fromCells([head, ...rows])}};
    const names = head.map((cell) => cell.replace(/^"|"$/g, '').replace(/[._[]\d+\]?$/, ''));
    const tensors = {};
    for (const name of new Set(names)) {
        const columns = names
            .map((other, column) => (other === name ? column : -1))
            .filter((column) => column >= 0);
        const {shape, data} = fromCells(
            rows.map((row) => columns.map((column) => row[column] ?? '')),
            2,
        );
        tensors[name] = {shape: shape.length > 0 ? shape : [1], data};
    }
    return {tensors};
}
