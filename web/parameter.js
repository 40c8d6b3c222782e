// The control of one argument, made from its description: a number with a slider, a check box, or a choice.

import {make} from './dom.js';

const steps = 200;

export class Parameter {
    /** `changed` is called whenever its value does. */
    constructor(description, changed) {
        this.description = description;
        this.name = description.name;
        this.element = make('div', {className: 'field parameter'});
        this.id = `argument-${this.name}`;
        this.message = make('p', {className: 'mistake', id: `${this.id}-mistake`, hidden: true});
        const label = make('label', {htmlFor: this.id}, make('code', {}, this.name));
        const doc = make('p', {className: 'hint', id: `${this.id}-hint`}, describe(description));
        this.input = this.#control();
        this.input.setAttribute('aria-describedby', `${doc.id} ${this.message.id}`);
        this.slider = this.#slider();
        const row = make('div', {className: 'control'}, this.input, this.slider);
        this.element.append(...(description.type === 'boolean' ? [make('div', {className: 'check'}, this.input, label)] : [label, row]), doc, this.message);
        this.element.addEventListener('input', (event) => {
            this.#follow(event.target);
            changed();
        });
    }

    #control() {
        const {type, default: value, choices} = this.description;
        if (type === 'boolean') return make('input', {type: 'checkbox', id: this.id, checked: value});
        if (type === 'choice') {
            return make('select', {id: this.id}, ...choices.map((choice) => make('option', {value: choice, selected: choice === value}, choice)));
        }
        return make('input', {type: 'text', inputMode: 'decimal', autocomplete: 'off', id: this.id, value: String(value)});
    }

    // Numbers can be moved by hand; those that are tiny, by powers of ten.
    #slider() {
        if (this.description.type !== 'number') return null;
        this.range = rangeOf(this.description);
        return make('input', {type: 'range', min: '0', max: String(steps), step: '1', value: String(this.#place(this.description.default)),
            'aria-label': `${this.name}, by hand`});
    }

    #place(value) {
        const {least, greatest, logarithmic} = this.range;
        const share = logarithmic ? Math.log(value / least) / Math.log(greatest / least) : (value - least) / (greatest - least);
        return Math.round(Math.min(Math.max(share, 0), 1) * steps);
    }

    #follow(moved) {
        if (!this.slider) return;
        if (moved === this.slider) {
            const {least, greatest, logarithmic} = this.range, share = this.slider.value / steps;
            const value = logarithmic ? least * (greatest / least) ** share : least + (greatest - least) * share;
            this.input.value = String(Number(value.toPrecision(3)));
        } else if (Number.isFinite(Number(this.input.value))) {
            this.slider.value = this.#place(Number(this.input.value));
        }
        this.slider.setAttribute('aria-valuetext', this.input.value);
    }

    /** Its value; what the server cannot read is handed on as it was typed, for it says best what is wrong. */
    get value() {
        const {type} = this.description;
        if (type === 'boolean') return this.input.checked;
        const text = this.input.value.trim();
        return type === 'choice' || text === '' || Number.isNaN(Number(text)) ? text : Number(text);
    }

    set value(value) {
        if (this.description.type === 'boolean') this.input.checked = value;
        else this.input.value = String(value);
        this.#follow(this.input);
    }

    get isDefault() {
        return this.value === this.description.default;
    }
}

function describe({doc, type, default: value, minimum, exclusiveMinimum, maximum, exclusiveMaximum, infinite, nullable}) {
    const bounds = [minimum !== undefined && `at least ${minimum}`, exclusiveMinimum !== undefined && `above ${exclusiveMinimum}`,
        maximum !== undefined && `at most ${maximum}`, exclusiveMaximum !== undefined && `below ${exclusiveMaximum}`, infinite && 'or Infinity', nullable && 'or null'].filter(Boolean);
    const range = [type === 'integer' && 'a whole number', ...bounds].filter(Boolean).join(', ');
    return `${doc}${range ? ` (${range})` : ''}; ${type === 'boolean' ? (value ? 'on' : 'off') : value} by default`;
}

/** Where a slider goes: to the bounds where there are any, else so that what is usual lies within. */
function rangeOf({default: value, minimum, exclusiveMinimum, maximum, exclusiveMaximum}) {
    if (value > 0 && value < 1e-3) return {least: value / 1e4, greatest: 1, logarithmic: true};
    const low = minimum ?? exclusiveMinimum, high = maximum ?? exclusiveMaximum, reach = Math.max(4 * Math.abs(value), 3);
    let least = low ?? (high === undefined ? value - reach : Math.min(value - reach, 0)), greatest = high ?? Math.max(least, value) + reach;
    const edge = (greatest - least) / steps;
    if (exclusiveMinimum !== undefined) least += edge;
    if (exclusiveMaximum !== undefined) greatest -= edge;
    return {least, greatest, logarithmic: false};
}
