// The curve of a sample's loss over one element of its prediction, and that of its derivative.

import {clear, draw} from './chart.js';
import {curveOf} from './curve.js';
import {byId, fillSelect} from './dom.js';
import {LossdError} from './error.js';
import {short} from './format.js';

const controls = {tensor: byId('curve-tensor'), sample: byId('curve-sample'), element: byId('curve-element'), from: byId('curve-from'), to: byId('curve-to')};

export class CurveView {
    /** `changed` is called when another curve is to be drawn. */
    constructor(changed) {
        this.chosen = false; // whether the range is the user's
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

    /** Lets the range follow the numbers again. */
    fit() {
        this.chosen = false;
    }

    /** Moves to a sample, and there to the element that matters most. */
    choose(sample) {
        controls.sample.value = sample;
        this.fresh = true;
        this.fit();
    }

    /** What is to be drawn of a batch: which element, and over which range. */
    place(samples) {
        const name = samples.predictions.includes(controls.tensor.value) ? controls.tensor.value : samples.predictions[0];
        fillSelect(controls.tensor, samples.predictions, name);
        const sample = clamp(controls.sample, samples.count - 1);
        if (this.fresh) controls.element.value = rightClass(samples, sample);
        this.fresh = false;
        const element = clamp(controls.element, samples.width(name) - 1);
        controls.tensor.parentElement.hidden = samples.predictions.length < 2;
        controls.sample.parentElement.hidden = samples.count < 2;
        controls.element.parentElement.hidden = samples.width(name) < 2;
        if (!this.chosen) [controls.from.value, controls.to.value] = fitting(samples, name, sample, element);
        return {name, sample, element, range: [Number(controls.from.value), Number(controls.to.value)]};
    }

    /** Asks for the curve and draws it; where arguments are not at their defaults, beside the curve of these. */
    async show({client, description, fields, samples, signal}) {
        const place = this.place(samples);
        if (!(place.range[0] < place.range[1])) {
            this.clear(`from ${controls.from.value} to ${controls.to.value} is no range`);
            return null;
        }
        const asked = {client, loss: description.name, fields, samples, ...place, signal};
        const [curve, usual] = await Promise.all([curveOf(asked), Object.keys(fields).length > 0 ? usualCurve(asked) : null]);
        byId('curve-mistake').hidden = true;
        if (!this.chosen) [controls.from.value, controls.to.value] = [curve.x[0], curve.x.at(-1)].map(round);
        this.#draw(curve, usual, description, samples, place);
        return place;
    }

    /** Shows no curve, but why there is none. */
    clear(why = '') {
        for (const id of ['curve-loss', 'curve-derivative']) clear(byId(id));
        byId('curve-mistake').textContent = why;
        byId('curve-mistake').hidden = why === '';
        byId('curve-words').textContent = byId('curve-legend').textContent = '';
    }

    #draw(curve, usual, description, samples, {name, sample, element}) {
        const words = wordsOf(curve, description, samples, name, sample, element);
        byId('curve-words').textContent = words;
        byId('curve-legend').replaceChildren(...legend(curve, usual));
        for (const [what, host, colour] of [['loss', 'curve-loss', '--line'], ['derivative', 'curve-derivative', '--line-2']]) {
            const {x, series} = aligned(curve, usual, what, colour);
            draw(byId(host), {label: `${what} of ${description.title}. ${words}`, x, series, sync: 'curve'});
        }
    }
}

// The class that the target names, where it names one.
function rightClass(samples, sample) {
    const target = samples.kind === 'rows' && samples.specs.find(({kind}) => kind !== 'real');
    const values = target ? samples.values(target.name, sample) : [];
    return values.length === 1 && values[0] >= 0 ? Number(values[0]) : 0;
}

function clamp(input, most) {
    input.max = most;
    const value = Math.min(Math.max(Math.round(Number(input.value)) || 0, 0), Math.max(most, 0));
    if (input.value !== String(value) && document.activeElement !== input) input.value = value;
    return value;
}

// A range in which what a sample is and what it should be lie well inside.
function fitting(samples, name, sample, element) {
    const own = samples.values(name, sample), at = own[element];
    const near = samples.kind === 'elements' ? samples.specs.filter(({kind, optional}) => kind === 'real' && !optional).map((spec) => samples.values(spec.name, sample)[0])
        : Array.from(own).slice(0, 64);
    const known = [at, ...near].filter(Number.isFinite);
    if (known.length === 0) return [-3, 3];
    const least = Math.min(...known), greatest = Math.max(...known);
    const margin = Math.max(3, 0.6 * (greatest - least));
    return [round(least - margin), round(greatest + margin)];
}

const round = (value) => Number(value.toPrecision(3));

// The curve with arguments at their defaults; null if the server refuses the numbers without these arguments.
async function usualCurve(asked) {
    try {
        return await curveOf({...asked, fields: {}});
    } catch (error) {
        if (!(error instanceof LossdError)) throw error;
        return null;
    }
}

// One x for all: that of the curve and that of the usual one, with gaps where there is nothing.
function aligned(curve, usual, what, colour) {
    const all = new Map();
    const put = (x, key, value) => {
        if (!all.has(x)) all.set(x, {});
        all.get(x)[key] = Number.isFinite(value) ? value : null;
    };
    curve.x.forEach((x, i) => put(x, 'curve', curve[what][i]));
    usual?.x.forEach((x, i) => put(x, 'usual', usual[what][i]));
    for (const kink of curve.kinks) put(kink.x, kink.order === 1 ? 'jump' : 'bend', nearest(curve, what, kink.x));
    const x = [...all.keys()].sort((a, b) => a - b), column = (key) => x.map((value) => all.get(value)[key]);
    const point = x.map((value) => (value === curve.at ? all.get(value).curve : null));
    const series = [
        usual && {label: 'by default', data: filled(x, column('usual')), colour: '--soft', kind: 'dashed'},
        {label: what, data: filled(x, column('curve')), colour},
        {label: 'here', data: point, colour: '--mark', kind: 'points'},
        {label: 'jump', data: column('jump'), colour, kind: 'points'},
        {label: 'bend', data: column('bend'), colour, kind: 'rings'},
    ];
    return {x, series: series.filter((one) => one && one.data.some((value) => value !== null && value !== undefined))};
}

// undefined, between points of a curve, is filled in on the line; null is a gap.
function filled(x, values) {
    let last = -1;
    const out = [...values];
    for (let i = 0; i < values.length; i++) {
        if (values[i] === undefined) continue;
        for (let k = last + 1; k < i && last >= 0; k++) {
            if (values[last] === null || values[i] === null) out[k] = null;
            else out[k] = values[last] + (values[i] - values[last]) * (x[k] - x[last]) / (x[i] - x[last]);
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
    const which = [samples.count > 1 ? `sample ${samples.label(sample)}` : '', samples.width(name) > 1 ? `element ${element}` : ''].filter(Boolean).join(', ');
    const places = (order) => curve.kinks.filter((kink) => kink.order === order).map(({x}) => short(x)).join(', ');
    const kinked = [places(1) && `The derivative jumps at ${places(1)}.`, places(2) && `It bends at ${places(2)}.`].filter(Boolean).join(' ');
    return `${loss} while ${name}${which ? ` (${which})` : ''} moves and all else stays. Here it is ${short(curve.at)}. ${kinked}`.trim();
}

function legend(curve, usual) {
    const entry = (mark, text) => {
        const item = document.createElement('span');
        item.className = `key ${mark}`;
        item.textContent = text;
        return item;
    };
    return [entry('dot', 'where the sample is'), usual && entry('dash', 'with arguments at their defaults'),
        curve.kinks.some(({order}) => order === 1) && entry('jump', 'the derivative jumps'), curve.kinks.some(({order}) => order === 2) && entry('bend', 'the derivative bends')].filter(Boolean);
}
