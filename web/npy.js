// NumPy .npy files, versions 1 to 3:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

import {Tensor, arrayOf} from './tensor.js';

const dtypes = {
    f8: 'float64',
    f4: 'float32',
    f2: 'float16',
    i8: 'int64',
    i4: 'int32',
    i2: 'int16',
    i1: 'int8',
    u8: 'uint64',
    u4: 'uint32',
    u2: 'uint16',
    u1: 'uint8',
    b1: 'bool',
};

/** Decodes a file. Throws a RangeError if it is invalid. */
export function decodeNpy(buffer) {
    const bytes = new Uint8Array(buffer),
        view = new DataView(buffer);
    if (
        bytes.length < 12 ||
        String.fromCharCode(...bytes.subarray(1, 6)) !== 'NUMPY' ||
        bytes[0] !== 0x93
    ) {
        throw new RangeError('not a NumPy file: it does not begin with \\x93NUMPY');
    }
    const wide = bytes[6] > 1,
        begin = (wide ? 12 : 10) + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
    const header = new TextDecoder().decode(bytes.subarray(wide ? 12 : 10, begin));
    const [, descr] = header.match(/'descr':\s*'([^']*)'/) ?? [],
        [, axes] = header.match(/'shape':\s*\(([^)]*)\)/) ?? [];
    if (descr === undefined || axes === undefined)
        throw new RangeError('unsupported NumPy header: descr must be a string and shape a tuple');
    const shape = axes
        .split(',')
        .map((extent) => extent.trim())
        .filter((extent) => extent !== '')
        .map(Number);
    const dtype = dtypes[descr.slice(1)];
    if (!dtype)
        throw new RangeError(
            `the NumPy file has dtype ${descr}; it must be one of ` +
                `${Object.keys(dtypes).join(', ')}`,
        );
    const size = shape.reduce((product, extent) => product * extent, 1),
        type = arrayOf(dtype),
        width = type.BYTES_PER_ELEMENT;
    if (bytes.length - begin !== size * width) {
        throw new RangeError(
            `the NumPy file has ${bytes.length - begin} bytes of data; shape (${axes}) ` +
                `of ${descr} needs ${size * width}`,
        );
    }
    const numbers = bytes.slice(begin);
    if (descr[0] === '>') swap(numbers, width);
    const data = new type(numbers.buffer);
    return new Tensor(
        shape,
        /'fortran_order':\s*True/.test(header) ? transposed(data, shape) : data,
        dtype,
    );
}

function swap(bytes, width) {
    for (let i = 0; i < bytes.length; i += width) bytes.subarray(i, i + width).reverse();
}

// Converts column-major to row-major order.
function transposed(data, shape) {
    const out = new data.constructor(data.length),
        index = shape.map(() => 0);
    for (let i = 0; i < out.length; i++) {
        let place = 0;
        for (let axis = shape.length - 1; axis >= 0; axis--)
            place = place * shape[axis] + index[axis];
        out[i] = data[place];
        for (let axis = shape.length - 1; axis >= 0 && ++index[axis] === shape[axis]; axis--)
            index[axis] = 0;
    }
    return out;
}
