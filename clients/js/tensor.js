// Tensors: a typed array in row-major order, and a shape.

// The typed array of each dtype.
const arrays = {
    float64: Float64Array,
    float32: Float32Array,
    float16: globalThis.Float16Array ?? Uint16Array, // Uint16Array: bits
    bfloat16: Uint16Array, // bits
    int64: BigInt64Array,
    int32: Int32Array,
    int16: Int16Array,
    int8: Int8Array,
    uint64: BigUint64Array,
    uint32: Uint32Array,
    uint16: Uint16Array,
    uint8: Uint8Array,
    bool: Uint8Array, // 0 and 1
};

// The default dtype of each typed array. Uint16Array, which may contain bits, has none.
const dtypeOf = new Map([
    [Float64Array, 'float64'],
    [Float32Array, 'float32'],
    [globalThis.Float16Array, 'float16'],
    [BigInt64Array, 'int64'],
    [Int32Array, 'int32'],
    [Int16Array, 'int16'],
    [Int8Array, 'int8'],
    [BigUint64Array, 'uint64'],
    [Uint32Array, 'uint32'],
    [Uint8Array, 'uint8'],
    [Uint8ClampedArray, 'uint8'],
]);

const isArray = (value) => ArrayBuffer.isView(value) && !(value instanceof DataView);
const isIndexed = (dtype) => dtype.startsWith('int') || dtype.startsWith('uint');
const isHalf = (dtype) => dtype === 'float16' || dtype === 'bfloat16';

// Returns the typed array of a dtype. Throws a TypeError if the dtype is unknown.
export function arrayOf(dtype) {
    if (!Object.hasOwn(arrays, dtype)) {
        throw new TypeError(
            `no such dtype '${dtype}'; the dtypes are ${Object.keys(arrays).join(', ')}`,
        );
    }
    return arrays[dtype];
}

export class Tensor {
    /**
     * @param {number[]} shape
     * @param {*} data a typed array with one element per element of the shape, not copied; float16
     *     and bfloat16 can be bits in a Uint16Array
     * @param {string} [dtype] of the array; required if it is ambiguous (Uint16Array, a Uint8Array
     *     of booleans)
     */
    constructor(shape, data, dtype = dtypeOf.get(data?.constructor)) {
        if (!isArray(data)) throw new TypeError('data must be a typed array');
        if (dtype === undefined) {
            throw new TypeError(
                `the dtype of a ${data.constructor.name} is ambiguous; specify it, as in ` +
                    `{shape, dtype: 'float16', data}`,
            );
        }
        const bits = data instanceof Uint16Array && isHalf(dtype);
        const bytes = data instanceof Uint8ClampedArray && dtype === 'uint8';
        if (!(data instanceof arrayOf(dtype)) && !bits && !bytes) {
            throw new TypeError(
                `a ${data.constructor.name} cannot contain ${dtype}; use a ${arrayOf(dtype).name}`,
            );
        }
        this.shape = [...shape];
        for (const extent of this.shape) {
            if (!Number.isSafeInteger(extent) || extent < 0)
                throw new TypeError(
                    `shape is (${shape}); dimensions must be integers of at least 0`,
                );
        }
        if (data.length !== this.size) {
            throw new TypeError(
                `shape (${this.shape.join(', ')}) has ${this.size} elements, but the data ` +
                    `has ${data.length}`,
            );
        }
        this.data = data;
        this.dtype = dtype;
    }

    /** The number of elements. */
    get size() {
        return this.shape.reduce((product, extent) => product * extent, 1);
    }

    /** Returns the only element, as a number. Throws a TypeError unless there is exactly one. */
    item() {
        if (this.size !== 1)
            throw new TypeError(`a tensor of shape (${this.shape.join(', ')}) is not one number`);
        return this.numbers()[0];
    }

    /**
     * Returns all elements as a flat array of JavaScript numbers: `data` itself unless it contains
     * bits or BigInts.
     */
    numbers() {
        if (this.dtype === 'int64' || this.dtype === 'uint64')
            return Float64Array.from(this.data, Number);
        if (this.data instanceof Uint16Array && isHalf(this.dtype))
            return Float32Array.from(
                this.data,
                this.dtype === 'float16' ? fromFloat16 : fromBfloat16,
            );
        return this.data;
    }

    /**
     * Returns nested arrays of numbers, or a number if the shape is (): also what JSON.stringify
     * writes.
     */
    nested() {
        const numbers = this.numbers();
        let place = 0;
        const level = (axis) =>
            axis === this.shape.length
                ? numbers[place++]
                : Array.from({length: this.shape[axis]}, () => level(axis + 1));
        return level(0);
    }

    toJSON() {
        return this.nested();
    }

    /**
     * Makes a tensor of a tensor, a typed array, a number, nested arrays, or {shape, dtype, data}.
     * `plain` is the dtype of plain numbers. `name` is used in messages.
     */
    static from(value, plain = 'float32', name = 'a tensor') {
        try {
            if (value instanceof Tensor) return value;
            if (isArray(value)) return new Tensor([value.length], value);
            if (value !== null && typeof value === 'object' && !Array.isArray(value))
                return fromParts(value, plain);
            return fromNested(value, undefined, plain);
        } catch (error) {
            throw error instanceof TypeError ? new TypeError(`${name}: ${error.message}`) : error;
        }
    }
}

/** Returns the shape of a value without checking every element. */
export function shapeOf(value) {
    if (isArray(value)) return [value.length];
    if (value !== null && typeof value === 'object' && !Array.isArray(value))
        return value.shape ?? shapeOf(value.data);
    const shape = [];
    for (let level = value; Array.isArray(level); level = level[0]) shape.push(level.length);
    return shape;
}

function fromParts({shape, dtype, data, ...others}, plain) {
    const [unknown] = Object.keys(others);
    if (unknown !== undefined)
        throw new TypeError(
            `a tensor has no field '${unknown}'; the fields are shape, dtype, data`,
        );
    if (isArray(data)) return new Tensor(shape ?? [data.length], data, dtype);
    return fromNested(data, shape, dtype ?? plain, dtype !== undefined);
}

function fromNested(value, shape, dtype, declared = false) {
    const flat = [],
        found = shapeOf(value);
    flatten(value, found, 0, flat, []);
    if (!declared && flat.length > 0 && flat.every((element) => typeof element === 'boolean'))
        dtype = 'bool';
    const data = new (arrayOf(dtype))(flat.length),
        convert = converter(dtype);
    for (let i = 0; i < flat.length; i++) {
        data[i] = convert(flat[i], i);
        if (isIndexed(dtype) && data[i] !== convert(flat[i], i))
            throw new TypeError(`element ${i} is ${flat[i]}, which is out of range for ${dtype}`);
    }
    if (shape && found.length > 1 && shape.join() !== found.join()) {
        throw new TypeError(`the data has shape (${found.join(', ')}), not (${shape.join(', ')})`);
    }
    return new Tensor(shape ?? found, data, dtype);
}

function flatten(value, shape, axis, flat, path) {
    const at = () => (path.length > 0 ? ` at [${path.join('][')}]` : '');
    if (axis === shape.length) {
        if (typeof value !== 'number' && typeof value !== 'boolean' && typeof value !== 'bigint') {
            const found = Array.isArray(value) ? 'an array' : (JSON.stringify(value) ?? value);
            throw new TypeError(`found ${found}${at()}; expected a number`);
        }
        flat.push(value);
        return;
    }
    if (!Array.isArray(value) || value.length !== shape[axis]) {
        throw new TypeError(
            `found ` +
                `${Array.isArray(value) ? `an array of length ${value.length}` : String(value)}` +
                `${at()}; expected an array of length ${shape[axis]}`,
        );
    }
    for (let i = 0; i < value.length; i++) {
        path.push(i);
        flatten(value[i], shape, axis + 1, flat, path);
        path.pop();
    }
}

// Returns the conversion of a plain number to a dtype.
function converter(dtype) {
    if (dtype === 'int64' || dtype === 'uint64')
        return (element, i) => (typeof element === 'bigint' ? element : BigInt(whole(element, i)));
    if (isIndexed(dtype)) return whole;
    if (dtype === 'bfloat16') return (element) => toBfloat16(Number(element));
    if (dtype === 'float16' && arrays.float16 === Uint16Array)
        return (element) => toFloat16(Number(element));
    return Number;
}

function whole(element, i) {
    if (typeof element === 'number' && !Number.isSafeInteger(element)) {
        throw new TypeError(`element ${i} is ${element}; it must be an integer`);
    }
    return Number(element);
}

// ---- Half precision ----

function fromFloat16(bits) {
    const exponent = (bits >> 10) & 31,
        fraction = bits & 1023,
        sign = bits >> 15 ? -1 : 1;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const single = new Float32Array(1),
    singleBits = new Uint32Array(single.buffer);

function fromBfloat16(bits) {
    singleBits[0] = bits << 16;
    return single[0];
}

// Rounds half to even.
function roundEven(value) {
    const below = Math.floor(value),
        rest = value - below;
    return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

function toFloat16(value) {
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0,
        size = Math.abs(value);
    if (Number.isNaN(value)) return 0x7e00;
    if (size >= 65520) return sign | 0x7c00;
    const exponent = Math.max(Math.floor(Math.log2(size)), -14);
    // Subnormal and normal numbers form one sequence: a carry out of the fraction increments the
    // exponent.
    return sign | (((exponent + 14) << 10) + roundEven(size / 2 ** (exponent - 10)));
}

function toBfloat16(value) {
    if (Number.isNaN(value)) return 0x7fc0;
    single[0] = value;
    const bits = singleBits[0];
    return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
