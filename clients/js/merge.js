// Merges partial results of parts of a batch, without a server.

import {shown} from './request.js';

const FORMAT = 'lossd-partial-1';
const FIELDS = [
    'format',
    'loss',
    'reduction',
    'dtype',
    'parameters',
    'tensors',
    'whole',
    'weighed',
    'sum',
    'weight',
    'terms',
    'samples',
    'count',
    'nan',
    'inf',
    'neginf',
    'rows',
    'warnings',
];
const SETTINGS = ['loss', 'reduction', 'dtype', 'parameters', 'tensors', 'whole', 'weighed'];
const COUNTS = ['terms', 'samples', 'count', 'nan', 'inf', 'neginf'];
const ROWS_MAX = 10000; // maximum number of intervals of rows
// A sum: 0, or an odd hexadecimal integer times a power of two.
const INTEGER = /^(?:0x0p\+0|(-?)0x([1-9a-f][0-9a-f]{0,543})p([+-](?:0|[1-9][0-9]{0,3})))$/;
const UNIT = 1074; // sums are stored as multiples of 2^-UNIT
const LIMIT = 1n << BigInt(1023 + 64 + UNIT); // the magnitudes of these multiples are less
// In the order in which partial results list them.
const WARNINGS = [
    'the shapes of target and input differ; they are broadcast, which is probably not intended',
    "reduction 'mean' divides by the batch size and the support size; 'batchmean' divides only " +
        'by the batch size and aligns with the definition of the KL divergence',
    'there is only one channel; include_background is ignored',
    'only one channel is included; weight is ignored',
];

const fail = (message) => {
    throw new RangeError(message);
};

/** Merges partial results of parts of one batch, in any order. */
export function merge(partials) {
    const read = Array.from(partials, partialOf);
    if (read.length === 0) fail('there are no partial results to merge');
    const [first] = read;
    const total = {...first};
    read.forEach((partial, place) => compare(first, partial, place));
    for (const name of COUNTS) {
        total[name] = read.reduce((sum, partial, i) => sum + countOf(partial[name], name, i), 0);
        if (!Number.isSafeInteger(total[name])) fail(`the merged ${name} are out of range`);
    }
    for (const name of ['sum', 'weight']) {
        const sum = read.reduce((sum, partial, i) => sum + integerOf(partial[name], name, i), 0n);
        if (sum >= LIMIT || sum <= -LIMIT) fail(`the merged ${name} is out of range`);
        total[name] = textOf(sum);
    }
    total.rows = joined(read.flatMap((partial, place) => intervalsOf(partial.rows, place)));
    const warnings = new Set(read.flatMap((partial) => partial.warnings));
    total.warnings = WARNINGS.filter((warning) => warnings.delete(warning));
    if (warnings.size > 0) fail(`unknown warnings: ${[...warnings].join(', ')}`);
    return resultOf(total);
}

// Returns a partial result, with its fields in order. `given` is a result that contains it, or the
// partial result itself, as an object or as JSON.
function partialOf(given, place) {
    const found = typeof given === 'string' ? JSON.parse(given) : given;
    const partial = found?.format === undefined ? found?.partial : found;
    if (typeof partial !== 'object' || partial === null)
        fail(`partials[${place}] is not a partial result; evaluate with partial: true`);
    if (partial.format !== FORMAT)
        fail(
            `partials[${place}].format is ${shown(partial.format)}; this version reads '${FORMAT}'`,
        );
    const missing = FIELDS.filter((name) => !Object.hasOwn(partial, name)),
        unknown = Object.keys(partial).filter((name) => !FIELDS.includes(name));
    if (missing.length + unknown.length > 0)
        fail(`partials[${place}] has missing or unknown fields: ${[...missing, ...unknown]}`);
    return Object.fromEntries(FIELDS.map((name) => [name, partial[name]]));
}

// Compares JSON values; the order of members does not matter.
function same(a, b) {
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
    const names = Object.keys(a);
    return (
        names.length === Object.keys(b).length &&
        names.every((name) => Object.hasOwn(b, name) && same(a[name], b[name]))
    );
}

// Checks that a partial result is of the same batch as the first one.
function compare(first, partial, place) {
    for (const name of SETTINGS) {
        if (same(partial[name], first[name])) continue;
        let [path, value, other] = [name, partial[name], first[name]];
        if (typeof value === 'object' && typeof other === 'object' && value && other) {
            const key = Object.keys({...other, ...value}).find((k) => !same(value[k], other[k]));
            [path, value, other] = [`${name}.${key}`, value[key], other[key]];
        }
        fail(
            `partials[${place}].${path} is ${JSON.stringify(value)}, but ` +
                `${JSON.stringify(other)} in the first partial result`,
        );
    }
}

function countOf(value, name, place) {
    return Number.isSafeInteger(value) && value >= 0
        ? value
        : fail(
              `partials[${place}].${name} is ${shown(value)}; it must be a whole number in ` +
                  `[0, 2^53)`,
          );
}

// Parses a sum, in units of 2^-UNIT.
function integerOf(text, name, place) {
    const [found, minus, digits, exponent] = INTEGER.exec(text) ?? [];
    if (found && digits === undefined) return 0n;
    const value = found && BigInt(`0x${digits}`);
    if (!found || value % 2n === 0n || Number(exponent) < -UNIT || Number(exponent) > 1100)
        fail(
            `partials[${place}].${name} is ${shown(text)}; it must be an odd hexadecimal integer ` +
                `times a power of two`,
        );
    const magnitude = value << BigInt(Number(exponent) + UNIT);
    return minus ? -magnitude : magnitude;
}

// Splits a magnitude that is not 0 into an odd integer and the number of zero bits after it.
function oddPart(magnitude) {
    const digits = magnitude.toString(2),
        zeros = digits.length - 1 - digits.lastIndexOf('1');
    return {odd: magnitude >> BigInt(zeros), zeros};
}

// Writes a sum: the inverse of integerOf.
function textOf(sum) {
    if (sum === 0n) return '0x0p+0';
    const {odd, zeros} = oddPart(sum < 0n ? -sum : sum),
        exponent = zeros - UNIT;
    return `${sum < 0n ? '-' : ''}0x${odd.toString(16)}p${exponent < 0 ? '' : '+'}${exponent}`;
}

function intervalsOf(rows, place) {
    return rows.map((interval) => {
        const [start, end] = Array.isArray(interval) && interval.length === 2 ? interval : [];
        if (countOf(start, 'rows', place) >= countOf(end, 'rows', place))
            fail(
                `partials[${place}].rows has ${JSON.stringify(interval)}; the first row must be ` +
                    `less than the end`,
            );
        return {start, end, place};
    });
}

// Sorts intervals, and joins those without gaps. Rejects rows that occur twice.
function joined(intervals) {
    const found = [];
    let previous;
    for (const {start, end, place} of intervals.sort((a, b) => a.start - b.start)) {
        const last = found.at(-1);
        if (last && start < last[1])
            fail(
                `rows ${start} to ${Math.min(end, last[1]) - 1} are in both ` +
                    `partials[${previous}] and partials[${place}]`,
            );
        if (last?.[1] === start) last[1] = end;
        else found.push([start, end]);
        previous = place;
    }
    return found.length <= ROWS_MAX
        ? found
        : fail(`the merged rows are ${found.length} intervals; the limit is ${ROWS_MAX}`);
}

// Rounds a sum to the nearest number, ties to even.
function numberOf(text) {
    const sum = integerOf(text, 'sum', 0);
    const magnitude = sum < 0n ? -sum : sum;
    // Number() rounds integers correctly. The integer here counts units of 2^-1074, of which a
    // number has at most 53 significant bits, so it is rounded first and then scaled in two exact
    // steps.
    const bits = magnitude.toString(2).length,
        excess = Math.max(0, bits - 54);
    const rest = magnitude & ((1n << BigInt(excess)) - 1n);
    const kept = Number(((magnitude >> BigInt(excess)) << 1n) | (rest === 0n ? 0n : 1n));
    const exponent = excess - 1 - UNIT,
        half = Math.trunc(exponent / 2);
    const value = kept * 2 ** half * 2 ** (exponent - half);
    return sum < 0n ? -value : value;
}

function sumOf({sum, nan, inf, neginf}) {
    if (nan > 0 || (inf > 0 && neginf > 0)) return NaN;
    if (inf > 0 || neginf > 0) return inf > 0 ? Infinity : -Infinity;
    return numberOf(sum);
}

/** Returns what the reduction of a partial result divides by; undefined for a sum. */
export function divisorOf({reduction, weighed, weight, terms, samples}) {
    if (reduction === 'sum') return undefined;
    if (reduction === 'batchmean') return samples;
    return weighed ? numberOf(weight) : terms;
}

function resultOf(partial) {
    const {count, reduction, dtype, nan, inf, neginf, warnings} = partial;
    const divisor = divisorOf(partial);
    return {
        loss: sumOf(partial) / (divisor ?? 1),
        count,
        reduction,
        dtype,
        nonfinite: nan + inf + neginf,
        warnings,
        partial,
        ...(divisor === undefined ? {} : {divisor}),
    };
}
