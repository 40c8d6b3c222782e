// The form of a loss, made from its description: parameters, tensors, and common fields.

import {byId, fillSelect} from './dom.js';
import {TextError} from './numbers.js';
import {Parameter} from './parameter.js';
import {TensorField} from './tensor-field.js';

// Tensors that every loss accepts.
const common = [
    {
        name: 'sample_weight',
        doc: 'a weight per term',
        shape: 'the shape of the terms, or (N)',
        kind: 'real',
        optional: true,
    },
    {
        name: 'grad_output',
        doc: 'the upstream gradient',
        shape: 'a number; with reduction none, the shape of the loss',
        kind: 'real',
        optional: true,
    },
];

export class LossForm {
    #changed;
    #dropped;

    constructor({changed, dropped}) {
        this.#changed = changed;
        this.#dropped = dropped;
        this.description = null;
        this.parameters = [];
        this.tensors = [];
        for (const id of ['reduction', 'dtype', 'hess'])
            byId(id).addEventListener('input', changed);
    }

    /** Shows the form of a loss. Tensors that the previous loss also had keep their values. */
    show(description) {
        const kept = new Map(
            this.tensors.filter((field) => !field.isEmpty).map((field) => [field.name, field]),
        );
        const events = {changed: this.#changed, dropped: this.#dropped};
        this.description = description;
        this.argued = false; // whether the user set parameters
        this.parameters = description.parameters.map(
            (parameter) =>
                new Parameter(parameter, () => {
                    this.argued = true;
                    this.#changed();
                }),
        );
        this.tensors = [...description.tensors, ...common].map(
            (tensor) => new TensorField(tensor, events),
        );
        byId('loss-title').textContent = description.title;
        byId('loss-doc').textContent = description.doc;
        byId('loss-formula').textContent = description.formula;
        byId('loss-aliases').textContent = description.aliases.join(', ');
        byId('arguments').replaceChildren(...this.parameters.map(({element}) => element));
        byId('arguments-none').hidden = this.parameters.length > 0;
        byId('tensors').replaceChildren(...this.tensors.map(({element}) => element));
        byId('hess-field').hidden = !description.hessian;
        fillSelect(byId('reduction'), description.reductions, byId('reduction').value || 'mean');
        for (const field of this.tensors) {
            const old = kept.get(field.name);
            if (!old) continue;
            try {
                field.set(old.read(), 'the previous loss');
            } catch {
                field.text.value = old.text.value;
            }
        }
        this.clearErrors();
    }

    /** Sets tensors, parameters and common fields by name, and resets the others. */
    fill(tensors, fields, source) {
        for (const field of this.tensors) {
            if (Object.hasOwn(tensors, field.name)) field.set(tensors[field.name], source);
            else field.clear();
        }
        for (const parameter of this.parameters)
            parameter.value = fields[parameter.name] ?? parameter.description.default;
        byId('reduction').value = this.description.reductions.includes(fields.reduction)
            ? fields.reduction
            : 'mean';
        byId('dtype').value = fields.dtype ?? '';
        byId('hess').checked = fields.hess === true;
    }

    /** Sets the given fields that are not tensors. */
    take(fields) {
        for (const parameter of this.parameters)
            if (parameter.name in fields) parameter.value = fields[parameter.name];
        if (fields.reduction) byId('reduction').value = fields.reduction;
        if (fields.dtype) byId('dtype').value = fields.dtype;
        if (fields.hess !== undefined) byId('hess').checked = fields.hess !== false;
    }

    tensor(name) {
        return this.tensors.find((field) => field.name === name);
    }

    /** The parameters that differ from their defaults. */
    get arguments() {
        return Object.fromEntries(
            this.parameters
                .filter((parameter) => !parameter.isDefault)
                .map(({name, value}) => [name, value]),
        );
    }

    /** Reduction, dtype and hess, if they differ from the defaults. */
    get common() {
        const reduction = byId('reduction').value,
            dtype = byId('dtype').value,
            hess = this.description.hessian && byId('hess').checked;
        return {
            ...(reduction !== 'mean' && {reduction}),
            ...(dtype && {dtype}),
            ...(hess && {hess}),
        };
    }

    /**
     * Returns the tensors by name. If one is invalid, shows an error next to it and returns null.
     */
    read() {
        const tensors = {};
        let valid = true;
        this.clearErrors();
        for (const field of this.tensors) {
            try {
                const tensor = field.read();
                if (tensor) tensors[field.name] = tensor;
            } catch (error) {
                if (!(error instanceof TextError)) throw error;
                this.#mark(field, error.message);
                valid = false;
            }
        }
        return valid ? tensors : null;
    }

    /** The first error, with its field. */
    get error() {
        const field = [...this.parameters, ...this.tensors].find(({message}) => !message.hidden);
        return field ? `${field.name}: ${field.message.textContent}` : '';
    }

    clearErrors() {
        for (const field of [...this.parameters, ...this.tensors]) this.#mark(field, null);
        byId('form-error').hidden = true;
    }

    /** Shows an error next to the field of a JSON Pointer, or below the form if there is none. */
    showError(pointer, text) {
        const [, name] = (pointer ?? '').split('/');
        const field = [...this.parameters, ...this.tensors].find((other) => other.name === name);
        if (field) {
            this.#mark(field, text);
        } else {
            byId('form-error').textContent = text;
            byId('form-error').hidden = false;
        }
    }

    #mark(field, text) {
        const control = field.input ?? field.text;
        field.message.textContent = text ?? '';
        field.message.hidden = text === null;
        if (text === null) control.removeAttribute('aria-invalid');
        else control.setAttribute('aria-invalid', 'true');
    }
}
