// The field of one tensor: text with numbers, or a summary of a large file.

import {make} from './dom.js';
import {extent, shapeText, short} from './format.js';
import {TextError, parseNumbers, textOf} from './numbers.js';
import {Tensor} from './tensor.js';

const maxShown = 400; // numbers shown as text

export class TensorField {
    #loaded = null; // a tensor that is too large for the text area

    /**
     * @param {{name: string, doc: string, shape: string, kind: string, optional: boolean}}
     *     description
     * @param {{changed: function(), dropped: function(File[], TensorField)}} events
     */
    constructor(description, {changed, dropped}) {
        this.description = description;
        this.name = description.name;
        this.id = `tensor-${this.name}`;
        const {doc, shape, optional, kind} = description;
        this.text = make('textarea', {
            id: this.id,
            rows: 3,
            spellcheck: false,
            autocomplete: 'off',
            'aria-describedby': `${this.id}-hint ${this.id}-shape ${this.id}-error`,
        });
        this.shape = make('output', {className: 'shape', id: `${this.id}-shape`, htmlFor: this.id});
        this.message = make('p', {className: 'error', id: `${this.id}-error`, hidden: true});
        this.summary = make('span', {className: 'summary'});
        this.remove = make(
            'button',
            {
                type: 'button',
                className: 'quiet',
                'aria-label': `remove the numbers of ${this.name}`,
            },
            'remove',
        );
        this.loaded = make('div', {className: 'loaded', hidden: true}, this.summary, this.remove);
        this.element = make(
            'div',
            {className: 'field tensor'},
            make(
                'div',
                {className: 'head'},
                make(
                    'label',
                    {htmlFor: this.id},
                    make('code', {}, this.name),
                    optional ? make('span', {className: 'optional'}, ' optional') : null,
                ),
                this.shape,
            ),
            this.text,
            this.loaded,
            make(
                'p',
                {className: 'hint', id: `${this.id}-hint`},
                [
                    doc,
                    shape,
                    kind === 'real'
                        ? ''
                        : kind === 'index'
                          ? 'integers'
                          : 'class indices or probabilities',
                ]
                    .filter(Boolean)
                    .join('; '),
            ),
            this.message,
        );
        this.text.addEventListener('input', () => {
            this.#describe();
            changed();
        });
        this.remove.addEventListener('click', () => {
            this.clear();
            this.text.focus();
            changed();
        });
        this.#takeDrops(dropped);
    }

    #takeDrops(dropped) {
        this.element.addEventListener('dragover', (event) => {
            event.preventDefault();
            this.element.classList.add('target');
        });
        this.element.addEventListener('dragleave', () => this.element.classList.remove('target'));
        this.element.addEventListener('drop', (event) => {
            this.element.classList.remove('target');
            if (event.dataTransfer.files.length === 0) return;
            event.preventDefault();
            event.stopPropagation();
            dropped([...event.dataTransfer.files], this);
        });
    }

    /**
     * Returns the tensor; null if there is none.
     * @throws {TextError} if the text is invalid
     */
    read() {
        const numbers = this.#loaded ?? parseNumbers(this.text.value);
        if (!numbers) return null;
        const wrong =
            this.description.kind === 'index' && !(numbers instanceof Tensor)
                ? numbers.data.findIndex((number) => !Number.isSafeInteger(number))
                : -1;
        if (wrong >= 0)
            throw new TextError(
                `element ${wrong} is ${numbers.data[wrong]}; it must be an integer`,
            );
        return numbers;
    }

    /** Shows a tensor: `{shape, data}`. `source` names its origin. */
    set(tensor, source) {
        this.clear();
        if (tensor.data.length <= maxShown) {
            const flat = tensor instanceof Tensor ? tensor.numbers() : tensor.data;
            this.text.value = textOf({shape: tensor.shape, data: flat});
        } else {
            this.#loaded = tensor;
            const [min, max] = extent(tensor instanceof Tensor ? tensor.numbers() : tensor.data);
            this.summary.textContent =
                `${tensor.data.length.toLocaleString('en')} numbers from ${source}, ` +
                `${short(min)} to ${short(max)}`;
        }
        this.text.hidden = this.#loaded !== null;
        this.loaded.hidden = this.#loaded === null;
        this.#describe();
    }

    clear() {
        this.#loaded = null;
        this.text.value = '';
        this.text.hidden = false;
        this.loaded.hidden = true;
        this.#describe();
    }

    get isEmpty() {
        return this.#loaded === null && this.text.value.trim() === '';
    }

    // Updates the shape next to the name.
    #describe() {
        let tensor = null;
        try {
            tensor = this.read();
        } catch (error) {
            if (!(error instanceof TextError)) throw error;
        }
        this.shape.textContent = tensor
            ? `${shapeText(tensor.shape)}${tensor.dtype ? ` ${tensor.dtype}` : ''}`
            : '';
        this.text.rows = Math.min(Math.max(this.text.value.split('\n').length, 2), 8);
    }
}
