// Computes a loss and its derivative as functions of one element of a prediction, on the server.

import {LossdError} from './error.js';
import {kinks} from './kinks.js';

const points = 301,
    fewer = 33; // number of values of the element: in one request, and with one request per value
const maxNumbers = 400_000; // maximum per request
const fine = 60; // points around a possible kink
const maxKinks = 8;

/**
 * @param {{client: Client, loss: string, fields: Object, samples: Samples, name: string, sample:
 *     number, element: number, range: [number, number], signal: AbortSignal}} request fields are
 *     the parameters of the loss
 * @returns {Promise<{x: number[], loss: number[], derivative: number[], kinks: {x: number, order:
 *     number}[], at: number}>}
 */
export async function curveOf(request) {
    const ranges = rangesOf(request.range),
        known = narrowed.get(keyOf(request)) ?? 0;
    for (let i = Math.min(known, ranges.length - 1); ; i++) {
        try {
            const curve = await curveOver({...request, range: ranges[i]});
            narrowed.set(keyOf(request), i);
            return curve;
        } catch (error) {
            // It is not known in advance which predictions are invalid, such as probabilities above
            // 1.
            const outside =
                error instanceof LossdError &&
                error.status === 422 &&
                error.pointer?.startsWith(`/${request.name}`);
            if (!outside || i === ranges.length - 1) throw error;
        }
    }
}

// The range that the server accepted for a loss and its choices, to avoid trying the others again.
const narrowed = new Map();
const keyOf = ({loss, name, fields}) =>
    JSON.stringify([
        loss,
        name,
        ...Object.entries(fields).filter(([, value]) => typeof value !== 'number'),
    ]);

function rangesOf([from, to]) {
    const narrower = [
        [Math.max(from, to / points), to],
        [Math.max(from, 0), Math.min(to, 1)],
    ];
    return [[from, to], ...narrower.filter(([min, max]) => min < max)];
}

async function curveOver(request) {
    const {
        samples,
        name,
        sample,
        element,
        range: [from, to],
    } = request;
    const at = samples.values(name, sample)[element];
    if (samples.kind === 'whole') return oneByOne(request, at);
    const count = Math.max(Math.min(points, Math.floor(maxNumbers / samples.width(name))), 21);
    const [curve, alone] = await Promise.all([
        stacked(request, grid(from, to, count, at)),
        stacked(request, [at]),
    ]);
    const index = curve.x.indexOf(at);
    // If terms depend on each other, as in contrastive losses, copies of the sample in one batch
    // change the result.
    if (index >= 0 && !near(curve.loss[index], alone.loss[0])) return oneByOne(request, at);
    return {...(await refined(request, curve)), at};
}

const near = (a, b) =>
    a === b ||
    Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b)) ||
    (Number.isNaN(a) && Number.isNaN(b));

// Even steps, including the current value of the prediction.
function grid(from, to, count, at) {
    const step = (to - from) / (count - 1);
    const x = Array.from({length: count}, (_, i) => (i === count - 1 ? to : from + i * step)).map(
        (value) => (Math.abs(value) < step * 1e-9 ? 0 : value),
    );
    return !(at >= from && at <= to)
        ? x
        : [...x.filter((value) => Math.abs(value - at) > step / 100), at].sort((a, b) => a - b);
}

// Evaluates one copy of the sample per value, in one request.
async function stacked({client, loss, fields, samples, name, sample, element, signal}, x) {
    const result = await client.loss(
        loss,
        {
            ...samples.varied(name, sample, element, x),
            ...fields,
            reduction: 'none',
            grad: [name],
            dtype: 'float64',
        },
        {signal},
    );
    const terms = result.loss.numbers(),
        gradient = result.grad[name].numbers();
    const each = terms.length / x.length,
        width = gradient.length / x.length;
    return {
        x,
        loss: x.map((_, i) =>
            terms.slice(i * each, (i + 1) * each).reduce((sum, term) => sum + term, 0),
        ),
        derivative: x.map((_, i) => gradient[i * width + element]),
    };
}

// Evaluates the whole batch once per value.
async function oneByOne(
    {client, loss, fields, samples, name, sample, element, range: [from, to], signal},
    at,
) {
    const x = grid(from, to, fewer, at),
        place = samples.kind === 'rows' ? sample * samples.width(name) + element : element;
    const results = await Promise.all(
        x.map((value) =>
            client.loss(
                loss,
                {
                    ...samples.changed(name, place, value),
                    ...fields,
                    reduction: 'sum',
                    grad: [name],
                    dtype: 'float64',
                },
                {signal},
            ),
        ),
    );
    return {
        x,
        loss: results.map((result) => result.loss),
        derivative: results.map((result) => result.grad[name].numbers()[place]),
        kinks: [],
        at,
    };
}

// Checks possible kinks on a finer grid: a jump keeps its size there, a steep rise does not.
async function refined(request, curve) {
    const candidates = kinks(curve.x, curve.derivative).slice(0, maxKinks);
    if (candidates.length === 0) return {...curve, kinks: []};
    const step = (curve.x.at(-1) - curve.x[0]) / (curve.x.length - 1);
    const stretches = candidates.map(({from, to}) => grid(from - step, to + step, fine, NaN));
    const close = await stacked(request, stretches.flat());
    const found = candidates.map((candidate, i) => {
        const part = (values) => values.slice(i * fine, (i + 1) * fine);
        const again = kinks(part(close.x), part(close.derivative)).find(
            ({order, size}) => order === candidate.order && size > candidate.size / 2,
        );
        return again && {x: tidy((again.from + again.to) / 2, step / fine), order: candidate.order};
    });
    return {...merged(curve, close), kinks: found.filter(Boolean)};
}

// Returns the shortest number within the resolution of the grid.
function tidy(value, tolerance) {
    for (let digits = 1; digits < 12; digits++) {
        const shorter = Number(value.toPrecision(digits));
        if (Math.abs(shorter - value) <= tolerance) return shorter;
    }
    return value;
}

function merged(a, b) {
    const rows = [
        ...a.x.map((x, i) => [x, a.loss[i], a.derivative[i]]),
        ...b.x.map((x, i) => [x, b.loss[i], b.derivative[i]]),
    ]
        .sort((one, other) => one[0] - other[0])
        .filter(([x], i, all) => i === 0 || x !== all[i - 1][0]);
    return {
        x: rows.map(([x]) => x),
        loss: rows.map(([, loss]) => loss),
        derivative: rows.map(([, , derivative]) => derivative),
    };
}
