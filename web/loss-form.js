// The form of a loss, made from what the server says of it: arguments, tensors, and what every loss takes.

import {byId, fillSelect} from './dom.js';
import {TextError} from './numbers.js';
import {Parameter} from './parameter.js';
import {TensorField} from './tensor-field.js';

// Tensors that every loss takes.
const common = [
    {name: 'sample_weight', doc: 'multiplies the terms', shape: 'that of the terms, or (N)', kind: 'real', optional: true},
    {name: 'grad_output', doc: 'the upstream gradient, which derivatives are multiplied by', shape: "a number, or with reduction none the loss's shape", kind: 'real', optional: true},
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
        for (const id of ['reduction', 'dtype', 'hess']) byId(id).addEventListener('input', changed);
    }

    /** Shows the form of a loss; numbers stay in tensors that it has too. */
    show(description) {
        const kept = new Map(this.tensors.filter((field) => !field.isEmpty).map((field) => [field.name, field]));
        const events = {changed: this.#changed, dropped: this.#dropped};
        this.description = description;
        this.argued = false; // whether the arguments are the user's
        this.parameters = description.parameters.map((parameter) => new Parameter(parameter, () => {
            this.argued = true;
            this.#changed();
        }));
        this.tensors = [...description.tensors, ...common].map((tensor) => new TensorField(tensor, events));
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
                field.set(old.read(), 'before');
            } catch {
                field.text.value = old.text.value;
            }
        }
        this.clearMistakes();
    }

    /** Takes over a request: tensors, arguments and common fields, by name; all else is emptied or put to its default. */
    fill(tensors, fields, source) {
        for (const field of this.tensors) {
            if (Object.hasOwn(tensors, field.name)) field.set(tensors[field.name], source);
            else field.clear();
        }
        for (const parameter of this.parameters) parameter.value = fields[parameter.name] ?? parameter.description.default;
        byId('reduction').value = this.description.reductions.includes(fields.reduction) ? fields.reduction : 'mean';
        byId('dtype').value = fields.dtype ?? '';
        byId('hess').checked = fields.hess === true;
    }

    /** Takes over what a file says besides tensors; all else stays. */
    take(fields) {
        for (const parameter of this.parameters) if (parameter.name in fields) parameter.value = fields[parameter.name];
        if (fields.reduction) byId('reduction').value = fields.reduction;
        if (fields.dtype) byId('dtype').value = fields.dtype;
        if (fields.hess !== undefined) byId('hess').checked = fields.hess !== false;
    }

    tensor(name) {
        return this.tensors.find((field) => field.name === name);
    }

    /** The arguments that are not at their defaults. */
    get arguments() {
        return Object.fromEntries(this.parameters.filter((parameter) => !parameter.isDefault).map(({name, value}) => [name, value]));
    }

    /** Reduction, dtype and hess where they are not the defaults. */
    get common() {
        const reduction = byId('reduction').value, dtype = byId('dtype').value, hess = this.description.hessian && byId('hess').checked;
        return {...(reduction !== 'mean' && {reduction}), ...(dtype && {dtype}), ...(hess && {hess})};
    }

    /** The tensors by name; null where one cannot be read, which is then said beside it. */
    read() {
        const tensors = {};
        let sound = true;
        this.clearMistakes();
        for (const field of this.tensors) {
            try {
                const tensor = field.read();
                if (tensor) tensors[field.name] = tensor;
            } catch (error) {
                if (!(error instanceof TextError)) throw error;
                this.#mark(field, error.message);
                sound = false;
            }
        }
        return sound ? tensors : null;
    }

    /** What is wrong first, with where. */
    get mistake() {
        const field = [...this.parameters, ...this.tensors].find(({message}) => !message.hidden);
        return field ? `${field.name}: ${field.message.textContent}` : '';
    }

    clearMistakes() {
        for (const field of [...this.parameters, ...this.tensors]) this.#mark(field, null);
        byId('mistake').hidden = true;
    }

    /** Says what is wrong: beside the field that a JSON Pointer leads to, else below the form. */
    showMistake(pointer, text) {
        const [, name] = (pointer ?? '').split('/');
        const field = [...this.parameters, ...this.tensors].find((other) => other.name === name);
        if (field) {
            this.#mark(field, text);
        } else {
            byId('mistake').textContent = text;
            byId('mistake').hidden = false;
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
