// Plots of a sample's loss, and of its derivative, over one element of the prediction.

import {clear, draw} from './chart.js';
import {curveOf} from './curve.js';
import {byId, fillSelect} from './dom.js';
import {LossdError} from './error.js';
import {short} from './format.js';

const controls = {
    tensor: byId('curve-tensor'),
    sample: byId('curve-sample'),
    element: byId('curve-element'),
    from: byId('curve-from'),
    to: byId('curve-to'),
};

export class CurveView {
    /** Calls `changed` when the curve must be redrawn. */
    constructor(changed) {
        this.chosen = false; // whether the user set the range
        for (const name of ['tensor', 'sample', 'element']) {
            controls[name].addEventListener('input', () => {
                this.fit();
                changed();
            });
        }
        for (const name of ['from', 'to']) {
            controls[name].addEventListener('input', () => {
                this.chosen = true;
                changed();
            });
        }
        byId('curve-reset').addEventListener('click', () => {
            this.fit();
            changed();
        });
    }

    /** Fits the range to the data again. */
    fit() {
        this.chosen = false;
    }

    /** Selects a sample and its most relevant element. */
    choose(sample) {
        controls.sample.value = sample;
        this.fresh = true;
        this.fit();
    }

    /** Returns the selected element and range of a batch. */
    place(samples) {
        const name = samples.predictions.includes(controls.tensor.value)
            ? controls.tensor.value
            : samples.predictions[0];
        fillSelect(controls.tensor, samples.predictions, name);
        const sample = clamp(controls.sample, samples.count - 1);
        if (this.fresh) controls.element.value = targetClass(samples, sample);
        this.fresh = false;
        const element = clamp(controls.element, samples.width(name) - 1);
        controls.tensor.parentElement.hidden = samples.predictions.length < 2;
        controls.sample.parentElement.hidden = samples.count < 2;
        controls.element.parentElement.hidden = samples.width(name) < 2;
        if (!this.chosen)
            [controls.from.value, controls.to.value] = fittedRange(samples, name, sample, element);
        return {
            name,
            sample,
            element,
            range: [Number(controls.from.value), Number(controls.to.value)],
        };
    }

    /** Computes and draws the curve, and the curve of the default parameters if others are set. */
    async show({client, description, fields, samples, signal}) {
        const place = this.place(samples);
        if (!(place.range[0] < place.range[1])) {
            this.clear(`invalid range from ${controls.from.value} to ${controls.to.value}`);
            return null;
        }
        const request = {client, loss: description.name, fields, samples, ...place, signal};
        const [curve, defaults] = await Promise.all([
            curveOf(request),
            Object.keys(fields).length > 0 ? defaultCurve(request) : null,
        ]);
        byId('curve-error').hidden = true;
        if (!this.chosen)
            [controls.from.value, controls.to.value] = [curve.x[0], curve.x.at(-1)].map(round);
        this.#draw(curve, defaults, description, samples, place);
        return place;
    }

    /** Removes the curves and shows the reason. */
    clear(why = '') {
        for (const id of ['curve-loss', 'curve-derivative']) clear(byId(id));
        byId('curve-error').textContent = why;
        byId('curve-error').hidden = why === '';
        byId('curve-summary').textContent = byId('curve-legend').textContent = '';
    }

    #draw(curve, defaults, description, samples, {name, sample, element}) {
        const words = wordsOf(curve, description, samples, name, sample, element);
        byId('curve-summary').textContent = words;
        byId('curve-legend').replaceChildren(...legend(curve, defaults));
        for (const [what, host, color] of [
            ['loss', 'curve-loss', '--line'],
            ['derivative', 'curve-derivative', '--line-2'],
        ]) {
            const {x, series} = aligned(curve, defaults, what, color);
            draw(byId(host), {
                label: `${what} of ${description.title}. ${words}`,
                x,
                series,
                sync: 'curve',
            });
        }
    }
}

// Returns the class index of the target, if it has one.
function targetClass(samples, sample) {
    const target = samples.kind === 'rows' && samples.specs.find(({kind}) => kind !== 'real');
    const values = target ? samples.values(target.name, sample) : [];
    return values.length === 1 && values[0] >= 0 ? Number(values[0]) : 0;
}

function clamp(input, max) {
    input.max = max;
    const value = Math.min(Math.max(Math.round(Number(input.value)) || 0, 0), Math.max(max, 0));
    if (input.value !== String(value) && document.activeElement !== input) input.value = value;
    return value;
}

// Returns a range that contains the prediction and the target with a margin.
function fittedRange(samples, name, sample, element) {
    const own = samples.values(name, sample),
        at = own[element];
    const near =
        samples.kind === 'elements'
            ? samples.specs
                  .filter(({kind, optional}) => kind === 'real' && !optional)
                  .map((spec) => samples.values(spec.name, sample)[0])
            : Array.from(own).slice(0, 64);
    const known = [at, ...near].filter(Number.isFinite);
    if (known.length === 0) return [-3, 3];
    const min = Math.min(...known),
        max = Math.max(...known);
    const margin = Math.max(3, 0.6 * (max - min));
    return [round(min - margin), round(max + margin)];
}

const round = (value) => Number(value.toPrecision(3));

// Computes the curve with default parameters; null if the server rejects that.
async function defaultCurve(request) {
    try {
        return await curveOf({...request, fields: {}});
    } catch (error) {
        if (!(error instanceof LossdError)) throw error;
        return null;
    }
}

// Merges the x of both curves, with gaps where a curve has no value.
function aligned(curve, defaults, what, color) {
    const all = new Map();
    const put = (x, key, value) => {
        if (!all.has(x)) all.set(x, {});
        all.get(x)[key] = Number.isFinite(value) ? value : null;
    };
    curve.x.forEach((x, i) => put(x, 'curve', curve[what][i]));
    defaults?.x.forEach((x, i) => put(x, 'default', defaults[what][i]));
    for (const kink of curve.kinks)
        put(kink.x, kink.order === 1 ? 'jump' : 'bend', nearest(curve, what, kink.x));
    const x = [...all.keys()].sort((a, b) => a - b),
        column = (key) => x.map((value) => all.get(value)[key]);
    const point = x.map((value) => (value === curve.at ? all.get(value).curve : null));
    const series = [
        defaults && {
            label: 'default',
            data: filled(x, column('default')),
            color: '--soft',
            kind: 'dashed',
        },
        {label: what, data: filled(x, column('curve')), color},
        {label: 'sample', data: point, color: '--mark', kind: 'points'},
        {label: 'jump', data: column('jump'), color, kind: 'points'},
        {label: 'bend', data: column('bend'), color, kind: 'rings'},
    ];
    return {
        x,
        series: series.filter(
            (one) => one && one.data.some((value) => value !== null && value !== undefined),
        ),
    };
}

// Interpolates undefined values between points of a curve; null is a gap.
function filled(x, values) {
    let last = -1;
    const out = [...values];
    for (let i = 0; i < values.length; i++) {
        if (values[i] === undefined) continue;
        for (let k = last + 1; k < i && last >= 0; k++) {
            if (values[last] === null || values[i] === null) out[k] = null;
            else
                out[k] =
                    values[last] +
                    ((values[i] - values[last]) * (x[k] - x[last])) / (x[i] - x[last]);
        }
        last = i;
    }
    return out.map((value) => value ?? null);
}

function nearest(curve, what, x) {
    let best = 0;
    curve.x.forEach((value, i) => {
        if (Math.abs(value - x) < Math.abs(curve.x[best] - x)) best = i;
    });
    return curve[what][best];
}

function wordsOf(curve, {name: loss}, samples, name, sample, element) {
    const which = [
        samples.count > 1 ? `sample ${samples.label(sample)}` : '',
        samples.width(name) > 1 ? `element ${element}` : '',
    ]
        .filter(Boolean)
        .join(', ');
    const places = (order) =>
        curve.kinks
            .filter((kink) => kink.order === order)
            .map(({x}) => short(x))
            .join(', ');
    const kinked = [
        places(1) && `The derivative jumps at ${places(1)}.`,
        places(2) && `It bends at ${places(2)}.`,
    ]
        .filter(Boolean)
        .join(' ');
    return (
        `${loss} as a function of ${name}${which ? ` (${which})` : ''}, all other values ` +
        `fixed. Current value: ${short(curve.at)}. ${kinked}`
    ).trim();
}

function legend(curve, defaults) {
    const entry = (mark, text) => {
        const item = document.createElement('span');
        item.className = `key ${mark}`;
        item.textContent = text;
        return item;
    };
    return [
        entry('dot', 'current value'),
        defaults && entry('dash', 'with default parameters'),
        curve.kinks.some(({order}) => order === 1) && entry('jump', 'the derivative jumps'),
        curve.kinks.some(({order}) => order === 2) && entry('bend', 'the derivative bends'),
    ].filter(Boolean);
}
