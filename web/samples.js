// Splits a batch into samples, and builds requests that vary one element of a sample.

import {Tensor} from './tensor.js';

const numbersOf = (tensor) => (tensor instanceof Tensor ? tensor.numbers() : tensor.data);
const product = (shape) => shape.reduce((whole, extent) => whole * extent, 1);

/** Returns the broadcast shape; null if the shapes are incompatible. */
function broadcast(shapes) {
    const rank = Math.max(...shapes.map((shape) => shape.length)),
        out = [];
    for (let back = 1; back <= rank; back++) {
        const extents = new Set(
            shapes.map((shape) => shape.at(-back) ?? 1).filter((extent) => extent !== 1),
        );
        if (extents.size > 1) return null;
        out.unshift([...extents][0] ?? 1);
    }
    return out;
}

// Converts an index in the broadcast shape to an index in a tensor.
function placeIn(shape, whole, place) {
    let at = 0,
        stride = 1;
    for (let back = 1; back <= whole.length; back++) {
        const index = place % whole.at(-back);
        place = Math.floor(place / whole.at(-back));
        const extent = shape.at(-back);
        if (extent === undefined) continue;
        if (extent !== 1) at += index * stride;
        stride *= extent;
    }
    return at;
}

/**
 * The samples of a batch: elements for elementwise losses, rows for losses of rows of classes or
 * features; otherwise the whole batch is one sample.
 */
export class Samples {
    constructor(description, tensors) {
        this.specs = description.tensors.filter(({name}) => Object.hasOwn(tensors, name));
        this.tensors = Object.fromEntries(
            this.specs.map(({name}) => [
                name,
                {shape: tensors[name].shape, data: numbersOf(tensors[name])},
            ]),
        );
        this.predictions = this.specs.filter(({prediction}) => prediction).map(({name}) => name);
        const [first] = this.specs.filter(({prediction}) => prediction);
        this.shape = first ? this.tensors[first.name].shape : [];
        this.kind = 'whole';
        if (first?.shape.startsWith('(*)')) this.#becomeElements();
        else if (/\(N/.test(first?.shape ?? '') && !/\(T/.test(first.shape))
            this.#becomeRows(first);
        this.count ??= 1;
    }

    #becomeElements() {
        const shape = broadcast(Object.values(this.tensors).map((tensor) => tensor.shape));
        if (!shape || product(shape) === 0) return;
        this.kind = 'elements';
        this.whole = shape;
        this.count = product(shape);
    }

    #becomeRows(first) {
        // One row without a batch dimension.
        this.single = this.shape.length === 1 && /\([CD]\)/.test(first.shape);
        this.count = this.single ? 1 : (this.shape[0] ?? 0);
        if (this.count > 0) this.kind = 'rows';
        else this.count = 1;
    }

    // Returns true if the first dimension of a tensor is the batch dimension.
    #isBatched({name, shape: text}) {
        const {shape} = this.tensors[name];
        if (
            !/\(N|same as|input's shape/.test(text) &&
            !(text.includes('broadcast') && shape.length === this.shape.length)
        )
            return false;
        return this.single || shape[0] === this.count;
    }

    /** Returns the values of a sample in one of the tensors. */
    values(name, sample) {
        const {shape, data} = this.tensors[name];
        if (this.kind === 'elements') return [data[placeIn(shape, this.whole, sample)]];
        const spec = this.specs.find((other) => other.name === name);
        if (this.kind === 'whole' || this.single || !this.#isBatched(spec)) return data;
        const size = data.length / shape[0];
        return data.slice(sample * size, (sample + 1) * size);
    }

    /** The number of elements of a prediction per sample. */
    width(name) {
        return this.kind === 'elements' ? 1 : this.values(name, 0).length;
    }

    /** Formats the index of a sample in the batch. */
    label(sample) {
        if (this.kind !== 'elements' || this.whole.length < 2) return String(sample);
        const index = [];
        for (let axis = this.whole.length - 1; axis >= 0; axis--) {
            index.unshift(sample % this.whole[axis]);
            sample = Math.floor(sample / this.whole[axis]);
        }
        return index.join(', ');
    }

    /**
     * Returns the tensors of a request with one copy of the sample for each value of an element of
     * a prediction.
     */
    varied(name, sample, element, values) {
        const tensors = {};
        for (const spec of this.specs) {
            const own = Array.from(this.values(spec.name, sample)),
                {shape} = this.tensors[spec.name];
            const repeat = (with_) => values.flatMap((value, i) => with_(own, value, i));
            const row = this.kind === 'elements' ? [] : this.single ? shape : shape.slice(1);
            if (spec.name === name)
                tensors[name] = doubles(
                    [values.length, ...row],
                    repeat((numbers, value) => numbers.with(element, value)),
                );
            else if (this.kind === 'elements' || this.#isBatched(spec))
                tensors[spec.name] = {
                    shape: [values.length, ...row],
                    data: repeat((numbers) => numbers),
                };
            else tensors[spec.name] = {shape, data: own};
        }
        return tensors;
    }

    /** Returns the batch with one element of a prediction changed. */
    changed(name, place, value) {
        const {shape, data} = this.tensors[name],
            copy = Float64Array.from(data);
        copy[place] = value;
        const others = Object.entries(this.tensors).map(([other, tensor]) => [
            other,
            {shape: tensor.shape, data: Array.from(tensor.data)},
        ]);
        return {...Object.fromEntries(others), [name]: new Tensor(shape, copy)};
    }
}

const doubles = (shape, data) => new Tensor(shape, Float64Array.from(data));
