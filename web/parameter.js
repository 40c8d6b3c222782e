// The control of one parameter, made from its description: a number with a slider, a check box, or
// a select.

import {make} from './dom.js';

const steps = 200;

export class Parameter {
    /** Calls `changed` when the value changes. */
    constructor(description, changed) {
        this.description = description;
        this.name = description.name;
        this.element = make('div', {className: 'field parameter'});
        this.id = `argument-${this.name}`;
        this.message = make('p', {className: 'error', id: `${this.id}-error`, hidden: true});
        const label = make('label', {htmlFor: this.id}, make('code', {}, this.name));
        const doc = make('p', {className: 'hint', id: `${this.id}-hint`}, describe(description));
        this.input = this.#control();
        this.input.setAttribute('aria-describedby', `${doc.id} ${this.message.id}`);
        this.slider = this.#slider();
        const row = make('div', {className: 'control'}, this.input, this.slider);
        this.element.append(
            ...(description.type === 'boolean'
                ? [make('div', {className: 'check'}, this.input, label)]
                : [label, row]),
            doc,
            this.message,
        );
        this.element.addEventListener('input', (event) => {
            this.#follow(event.target);
            changed();
        });
    }

    #control() {
        const {type, default: value, choices} = this.description;
        if (type === 'boolean')
            return make('input', {type: 'checkbox', id: this.id, checked: value});
        if (type === 'choice') {
            return make(
                'select',
                {id: this.id},
                ...choices.map((choice) =>
                    make('option', {value: choice, selected: choice === value}, choice),
                ),
            );
        }
        return make('input', {
            type: 'text',
            inputMode: 'decimal',
            autocomplete: 'off',
            id: this.id,
            value: String(value),
        });
    }

    // Numbers have a slider; for tiny ones, it is logarithmic.
    #slider() {
        if (this.description.type !== 'number') return null;
        this.range = rangeOf(this.description);
        return make('input', {
            type: 'range',
            min: '0',
            max: String(steps),
            step: '1',
            value: String(this.#place(this.description.default)),
            'aria-label': `${this.name}, slider`,
        });
    }

    #place(value) {
        const {min, max, logarithmic} = this.range;
        const share = logarithmic
            ? Math.log(value / min) / Math.log(max / min)
            : (value - min) / (max - min);
        return Math.round(Math.min(Math.max(share, 0), 1) * steps);
    }

    #follow(moved) {
        if (!this.slider) return;
        if (moved === this.slider) {
            const {min, max, logarithmic} = this.range,
                share = this.slider.value / steps;
            const value = logarithmic ? min * (max / min) ** share : min + (max - min) * share;
            this.input.value = String(Number(value.toPrecision(3)));
        } else if (Number.isFinite(Number(this.input.value))) {
            this.slider.value = this.#place(Number(this.input.value));
        }
        this.slider.setAttribute('aria-valuetext', this.input.value);
    }

    /** The value; invalid text is sent as typed, so that the server reports the error. */
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

const onOff = (value) => (value ? 'on' : 'off');

function describe({
    doc,
    type,
    default: value,
    minimum,
    exclusiveMinimum,
    maximum,
    exclusiveMaximum,
    infinite,
    nullable,
}) {
    const bounds = [
        minimum !== undefined && `at least ${minimum}`,
        exclusiveMinimum !== undefined && `above ${exclusiveMinimum}`,
        maximum !== undefined && `at most ${maximum}`,
        exclusiveMaximum !== undefined && `below ${exclusiveMaximum}`,
        infinite && 'or Infinity',
        nullable && 'or null',
    ].filter(Boolean);
    const range = [type === 'integer' && 'integer', ...bounds].filter(Boolean).join(', ');
    return (
        `${doc}${range ? ` (${range})` : ''}; default ` +
        `${type === 'boolean' ? onOff(value) : value}`
    );
}

/** The range of a slider: the bounds of the parameter, or a range around the default. */
function rangeOf({default: value, minimum, exclusiveMinimum, maximum, exclusiveMaximum}) {
    if (value > 0 && value < 1e-3) return {min: value / 1e4, max: 1, logarithmic: true};
    const low = minimum ?? exclusiveMinimum,
        high = maximum ?? exclusiveMaximum,
        reach = Math.max(4 * Math.abs(value), 3);
    let min = low ?? (high === undefined ? value - reach : Math.min(value - reach, 0)),
        max = high ?? Math.max(min, value) + reach;
    const edge = (max - min) / steps;
    if (exclusiveMinimum !== undefined) min += edge;
    if (exclusiveMaximum !== undefined) max -= edge;
    return {min, max, logarithmic: false};
}
