// Parses pasted numbers: JSON, or rows separated by commas, semicolons, tabs or spaces.

const words = {
    NaN,
    nan: NaN,
    Infinity,
    inf: Infinity,
    '-Infinity': -Infinity,
    '-inf': -Infinity,
    true: 1,
    false: 0,
    True: 1,
    False: 0,
};

/** An error in a text of numbers. */
export class TextError extends Error {}

/**
 * Parses text to numbers and a shape; null if there is only white space.
 * @returns {{shape: number[], data: number[]}|null}
 */
export function parseNumbers(text) {
    text = text.trim();
    if (text === '') return null;
    return text.startsWith('[') || text.startsWith('{') ? fromJson(text) : fromRows(text);
}

/** Parses JSON that can contain NaN, Infinity and -Infinity, as Python writes them. */
export function parseJson(text) {
    try {
        return JSON.parse(
            text.replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (token) =>
                token.startsWith('"') ? token : `"${token}"`,
            ),
        );
    } catch (error) {
        throw new TextError(`not valid JSON: ${error.message}`);
    }
}

function fromJson(text) {
    const value = parseJson(text);
    return Array.isArray(value) ? fromNested(value) : fromParts(value);
}

function fromParts({shape, data}) {
    if (!Array.isArray(data)) throw new TextError('a tensor object must have an array "data"');
    const {shape: found, data: flat} = fromNested(data);
    if (shape && shape.reduce((product, extent) => product * extent, 1) !== flat.length) {
        throw new TextError(`shape (${shape.join(', ')}) does not have ${flat.length} elements`);
    }
    return {shape: shape ?? found, data: flat};
}

/** Converts nested arrays. */
export function fromNested(value) {
    const shape = [],
        data = [];
    for (let level = value; Array.isArray(level); level = level[0]) shape.push(level.length);
    const walk = (level, axis, path) => {
        if (axis === shape.length) {
            data.push(number(level, path));
            return;
        }
        if (!Array.isArray(level) || level.length !== shape[axis]) {
            throw new TextError(
                `${path || 'this'} has ${Array.isArray(level) ? level.length : 'no'} ` +
                    `elements; the first has ${shape[axis]}`,
            );
        }
        level.forEach((inner, i) => walk(inner, axis + 1, `${path}[${i}]`));
    };
    walk(value, 0, '');
    return {shape, data};
}

function number(value, path) {
    if (typeof value === 'number') return value;
    if (value === null) return NaN;
    const word = words[String(value)];
    if (word === undefined)
        throw new TextError(`${path} is ${JSON.stringify(value)}, not a number`);
    return word;
}

/** Splits text into lines of cells. */
export function cellsOf(text) {
    const lines = text
        .split(/\r?\n/)
        .map((line) => line.trim())
        .filter((line) => line !== '' && !line.startsWith('#'));
    return lines.map((line) =>
        (/[,;\t]/.test(line) ? line.replace(/[,;]$/, '').split(/[,;\t]/) : line.split(/ +/)).map(
            (cell) => cell.trim(),
        ),
    );
}

export function isNumber(cell) {
    return cell in words || (cell !== '' && !Number.isNaN(Number(cell)));
}

function fromRows(text) {
    return fromCells(cellsOf(text));
}

/** Converts rows of cells; a single row or column gives one dimension. */
export function fromCells(rows, first = 1) {
    const columns = rows[0].length;
    const data = rows.flatMap((row, i) => {
        if (row.length !== columns)
            throw new TextError(
                `line ${i + first} has ${row.length} numbers; the first has ${columns}`,
            );
        return row.map((cell) => {
            if (!isNumber(cell))
                throw new TextError(`line ${i + first}: ${JSON.stringify(cell)} is not a number`);
            return words[cell] ?? Number(cell);
        });
    });
    if (data.length === 1) return {shape: [], data};
    return {
        shape: rows.length === 1 || columns === 1 ? [data.length] : [rows.length, columns],
        data,
    };
}

/** Formats numbers as JSON, one row per line, without loss of precision. */
export function textOf({shape, data}) {
    let place = 0;
    const one = () => {
        const value = data[place++];
        return Number.isFinite(Number(value)) ? String(value) : `"${value}"`;
    };
    const level = (axis) => {
        if (axis === shape.length) return one();
        const parts = Array.from({length: shape[axis]}, () => level(axis + 1));
        return `[${parts.join(axis < shape.length - 1 ? ',\n ' : ', ')}]`;
    };
    return level(0);
}
