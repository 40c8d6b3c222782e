// What a dropped file holds: tensors by name, and for JSON also the other fields of a request.

import {decodeNpy} from './npy.js';
import {TextError, cellsOf, fromCells, fromNested, isNumber, parseJson} from './numbers.js';
import {decode} from './safetensors.js';

const lone = ''; // the name of a tensor that has none

/**
 * @param {File} file
 * @returns {Promise<{tensors: Object<string, {shape: number[], data: *}>, fields: Object}>} a tensor without a name is under ''
 * @throws {TextError|RangeError} what is wrong with it
 */
export async function readFile(file) {
    const ending = file.name.slice(file.name.lastIndexOf('.') + 1).toLowerCase();
    const read = {json: readJson, npy: readNpy, safetensors: readSafetensors, csv: readCsv, tsv: readCsv, txt: readCsv}[ending];
    if (!read) throw new TextError(`${file.name} is of no kind that is read here: .json, .npy, .safetensors, .csv are`);
    try {
        return {fields: {}, ...await read(file)};
    } catch (error) {
        if (error instanceof TextError || error instanceof RangeError) throw new TextError(`${file.name}: ${error.message}`);
        throw error;
    }
}

async function readSafetensors(file) {
    return {tensors: decode(await file.arrayBuffer()).tensors};
}

async function readNpy(file) {
    return {tensors: {[lone]: decodeNpy(await file.arrayBuffer())}};
}

// A request as it is sent to the server, or nested arrays.
async function readJson(file) {
    const value = parseJson(await file.text());
    if (Array.isArray(value)) return {tensors: {[lone]: fromNested(value)}};
    const tensors = {}, fields = {};
    for (const [name, field] of Object.entries(value)) {
        if (field === null) continue;
        if (Array.isArray(field) && name !== 'grad' && name !== 'hess') tensors[name] = fromNested(field);
        else if (Array.isArray(field?.data)) tensors[name] = {...fromNested(field.data), ...(field.shape && {shape: field.shape})};
        else fields[name] = field;
    }
    return {tensors, fields};
}

// With a line of names: a tensor of each name, of a column, or of rows where several columns bear one name or name.0, name.1 and so on.
async function readCsv(file) {
    const [head, ...rows] = cellsOf(await file.text());
    if (head === undefined) throw new TextError('there are no numbers in it');
    if (head.every(isNumber)) return {tensors: {[lone]: fromCells([head, ...rows])}};
    const names = head.map((cell) => cell.replace(/^"|"$/g, '').replace(/[._[]\d+\]?$/, ''));
    const tensors = {};
    for (const name of new Set(names)) {
        const columns = names.map((other, column) => (other === name ? column : -1)).filter((column) => column >= 0);
        const {shape, data} = fromCells(rows.map((row) => columns.map((column) => row[column] ?? '')), 2);
        tensors[name] = {shape: shape.length > 0 ? shape : [1], data};
    }
    return {tensors};
}
