// How a loss and its derivative change with one element of a prediction, asked of the server.

import {LossdError} from './error.js';
import {kinks} from './kinks.js';

const points = 301, fewer = 33; // values of the element: in one request, and where each needs one of its own
const mostNumbers = 400_000; // that one request may have
const fine = 60; // points on a stretch that is looked at closely
const mostKinks = 8;

/**
 * @param {{client: Client, loss: string, fields: Object, samples: Samples, name: string, sample: number, element: number,
 *     range: [number, number], signal: AbortSignal}} asked fields are the loss's arguments
 * @returns {Promise<{x: number[], loss: number[], derivative: number[], kinks: {x: number, order: number}[], at: number}>}
 */
export async function curveOf(asked) {
    const ranges = rangesOf(asked.range), known = narrowed.get(keyOf(asked)) ?? 0;
    for (let i = Math.min(known, ranges.length - 1); ; i++) {
        try {
            const curve = await curveOver({...asked, range: ranges[i]});
            narrowed.set(keyOf(asked), i);
            return curve;
        } catch (error) {
            // What the prediction may not be, such as a probability above 1, is not known beforehand.
            const outside = error instanceof LossdError && error.status === 422 && error.pointer?.startsWith(`/${asked.name}`);
            if (!outside || i === ranges.length - 1) throw error;
        }
    }
}

// Which of the ranges a loss took, with such options, so that the others are not tried each time.
const narrowed = new Map();
const keyOf = ({loss, name, fields}) => JSON.stringify([loss, name, ...Object.entries(fields).filter(([, value]) => typeof value !== 'number')]);

function rangesOf([from, to]) {
    const narrower = [[Math.max(from, to / points), to], [Math.max(from, 0), Math.min(to, 1)]];
    return [[from, to], ...narrower.filter(([least, greatest]) => least < greatest)];
}

async function curveOver(asked) {
    const {samples, name, sample, element, range: [from, to]} = asked;
    const at = samples.values(name, sample)[element];
    if (samples.kind === 'whole') return oneByOne(asked, at);
    const count = Math.max(Math.min(points, Math.floor(mostNumbers / samples.width(name))), 21);
    const [curve, alone] = await Promise.all([stacked(asked, grid(from, to, count, at)), stacked(asked, [at])]);
    const there = curve.x.indexOf(at);
    // Where terms depend on each other, as in contrastive losses, samples side by side are not the sample by itself.
    if (there >= 0 && !near(curve.loss[there], alone.loss[0])) return oneByOne(asked, at);
    return {...await refined(asked, curve), at};
}

const near = (a, b) => a === b || Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b)) || (Number.isNaN(a) && Number.isNaN(b));

// Even steps, with the value that the prediction has among them.
function grid(from, to, count, at) {
    const step = (to - from) / (count - 1);
    const x = Array.from({length: count}, (_, i) => (i === count - 1 ? to : from + i * step)).map((value) => (Math.abs(value) < step * 1e-9 ? 0 : value));
    return !(at >= from && at <= to) ? x : [...x.filter((value) => Math.abs(value - at) > step / 100), at].sort((a, b) => a - b);
}

// The sample once for each value, side by side in one request.
async function stacked({client, loss, fields, samples, name, sample, element, signal}, x) {
    const result = await client.loss(loss, {...samples.varied(name, sample, element, x), ...fields, reduction: 'none', grad: [name], dtype: 'float64'}, {signal});
    const terms = result.loss.numbers(), gradient = result.grad[name].numbers();
    const each = terms.length / x.length, width = gradient.length / x.length;
    return {x, loss: x.map((_, i) => terms.slice(i * each, (i + 1) * each).reduce((sum, term) => sum + term, 0)),
        derivative: x.map((_, i) => gradient[i * width + element])};
}

// The whole batch once for each value.
async function oneByOne({client, loss, fields, samples, name, sample, element, range: [from, to], signal}, at) {
    const x = grid(from, to, fewer, at), place = samples.kind === 'rows' ? sample * samples.width(name) + element : element;
    const results = await Promise.all(x.map((value) => client.loss(loss, {...samples.changed(name, place, value), ...fields, reduction: 'sum', grad: [name], dtype: 'float64'}, {signal})));
    return {x, loss: results.map((result) => result.loss), derivative: results.map((result) => result.grad[name].numbers()[place]), kinks: [], at};
}

// Looks closely at what may be kinks: a jump stays as large on a smaller stretch, a steep rise does not.
async function refined(asked, curve) {
    const candidates = kinks(curve.x, curve.derivative).slice(0, mostKinks);
    if (candidates.length === 0) return {...curve, kinks: []};
    const step = (curve.x.at(-1) - curve.x[0]) / (curve.x.length - 1);
    const stretches = candidates.map(({from, to}) => grid(from - step, to + step, fine, NaN));
    const close = await stacked(asked, stretches.flat());
    const found = candidates.map((candidate, i) => {
        const part = (values) => values.slice(i * fine, (i + 1) * fine);
        const again = kinks(part(close.x), part(close.derivative)).find(({order, size}) => order === candidate.order && size > candidate.size / 2);
        return again && {x: tidy((again.from + again.to) / 2, step / fine), order: candidate.order};
    });
    return {...merged(curve, close), kinks: found.filter(Boolean)};
}

// The shortest number that is as near as the grid can tell.
function tidy(value, tolerance) {
    for (let digits = 1; digits < 12; digits++) {
        const shorter = Number(value.toPrecision(digits));
        if (Math.abs(shorter - value) <= tolerance) return shorter;
    }
    return value;
}

function merged(a, b) {
    const rows = [...a.x.map((x, i) => [x, a.loss[i], a.derivative[i]]), ...b.x.map((x, i) => [x, b.loss[i], b.derivative[i]])]
        .sort((one, other) => one[0] - other[0]).filter(([x], i, all) => i === 0 || x !== all[i - 1][0]);
    return {x: rows.map(([x]) => x), loss: rows.map(([, loss]) => loss), derivative: rows.map(([,, derivative]) => derivative)};
}
