// Compares losses over the same tensors: curves in one plot, and values for the whole batch.

import {clear, draw} from './chart.js';
import {curveOf} from './curve.js';
import {byId, make} from './dom.js';
import {LossdError} from './error.js';
import {short} from './format.js';
import {Samples} from './samples.js';

const colors = ['--line', '--series-2', '--series-3', '--series-4', '--series-5', '--series-6'];
const maxLosses = colors.length;

export class CompareView {
    #losses = [];
    #chosen = new Set();
    #changed;

    constructor(changed) {
        this.#changed = changed;
    }

    /** Offers the losses that can be compared with this one. */
    offer(all, description) {
        this.#losses = all.filter((other) => areComparable(other, description));
        const names = this.#losses.map(({name}) => name);
        this.#chosen = new Set(
            [description.name, ...[...this.#chosen].filter((name) => names.includes(name))].slice(
                0,
                maxLosses,
            ),
        );
        const others = this.#losses.filter(({name}) => name !== description.name);
        // Select one other loss at first.
        if (this.#chosen.size === 1 && others.length > 0) this.#chosen.add(others[0].name);
        byId('compare-losses').replaceChildren(
            byId('compare-losses').firstElementChild,
            ...others.map(({name, title}) => {
                const box = make('input', {
                    type: 'checkbox',
                    value: name,
                    checked: this.#chosen.has(name),
                    onchange: () => this.#choose(box),
                });
                return make('label', {className: 'chip', title}, box, name);
            }),
        );
        byId('compare').hidden = others.length === 0;
    }

    #choose(box) {
        if (box.checked) this.#chosen.add(box.value);
        else this.#chosen.delete(box.value);
        for (const other of byId('compare-losses').querySelectorAll('input'))
            other.disabled = this.#chosen.size >= maxLosses && !other.checked;
        this.#changed();
    }

    clear() {
        byId('compare-table').replaceChildren();
        for (const id of ['compare-loss', 'compare-derivative']) clear(byId(id));
    }

    /** Draws the chosen losses over the range of the main curve. */
    async show({client, description, fields, place, tensors, signal}) {
        if (byId('compare').hidden) return;
        const entries = await Promise.all(
            [...this.#chosen].map(async (loss, i) => {
                const other = this.#losses.find(({name}) => name === loss),
                    own = sharedFields(fields, description, other);
                const taken = Object.fromEntries(
                    Object.entries(tensors).filter(
                        ([name]) =>
                            name === 'sample_weight' ||
                            other.tensors.some((tensor) => tensor.name === name),
                    ),
                );
                const request = {
                    client,
                    loss,
                    fields: own,
                    samples: new Samples(other, taken),
                    ...place,
                    signal,
                };
                const [curve, result] = await Promise.all([
                    attempt(curveOf(request)),
                    attempt(client.loss(loss, {...taken, ...own}, {signal})),
                ]);
                return {loss, curve, result, color: colors[i]};
            }),
        );
        byId('compare-table').replaceChildren(...table(entries));
        for (const [what, host] of [
            ['loss', 'compare-loss'],
            ['derivative', 'compare-derivative'],
        ])
            drawAll(
                byId(host),
                what,
                entries.filter(({curve}) => !curve.failed),
            );
    }
}

// Losses are comparable if they require the same tensors and have the same kind of terms.
function areComparable(a, b) {
    const needed = ({tensors}) =>
        tensors
            .filter(({optional}) => !optional)
            .map(({name, kind}) => `${name} ${kind === 'real' ? kind : 'index'}`)
            .join();
    const elements = ({tensors}) => tensors[0].shape.startsWith('(*)');
    return needed(a) === needed(b) && elements(a) === elements(b);
}

// Selects the parameters that the other loss defines identically.
function sharedFields(fields, description, other) {
    const described = ({parameters}, name) =>
        JSON.stringify({...parameters.find((parameter) => parameter.name === name), doc: ''});
    return Object.fromEntries(
        Object.entries(fields).filter(
            ([name]) => described(description, name) === described(other, name),
        ),
    );
}

// An error of one loss goes into its row; the others are drawn.
async function attempt(promise) {
    try {
        return await promise;
    } catch (error) {
        if (!(error instanceof LossdError)) throw error;
        return {failed: error.detail};
    }
}

function drawAll(host, what, entries) {
    if (entries.length === 0) {
        clear(host);
        return;
    }
    const x = [...new Set(entries.flatMap(({curve}) => curve.x))].sort((a, b) => a - b);
    const series = entries.map(({loss, curve, color}) => ({
        label: loss,
        color,
        data: resampled(x, curve.x, curve[what]),
    }));
    draw(host, {
        label: `${what} of ${entries.map(({loss}) => loss).join(', ')}`,
        x,
        series,
        sync: 'compare',
    });
}

// Interpolates a curve linearly at the x of all curves; null outside its range.
function resampled(x, own, values) {
    let i = 0;
    return x.map((place) => {
        while (i < own.length - 2 && own[i + 1] < place) i++;
        if (place < own[0] || place > own.at(-1)) return null;
        const share = (place - own[i]) / (own[i + 1] - own[i]),
            value = values[i] + (values[i + 1] - values[i]) * share;
        return place === own[i]
            ? finite(values[i])
            : place === own[i + 1]
              ? finite(values[i + 1])
              : finite(value);
    });
}

const finite = (value) => (Number.isFinite(value) ? value : null);

function table(entries) {
    const head = make(
        'thead',
        {},
        make(
            'tr',
            {},
            ...['loss', 'mean over the batch'].map((text) => make('th', {scope: 'col'}, text)),
        ),
    );
    const rows = entries.map(({loss, curve, result, color}) => {
        const swatch = make('span', {className: 'swatch'});
        swatch.style.setProperty('--own', `var(${color})`);
        const error = result.failed ?? curve.failed;
        return make(
            'tr',
            {},
            make('th', {scope: 'row'}, swatch, loss),
            make(
                'td',
                {},
                result.failed ? null : short(result.loss, 6),
                error && make('p', {className: 'error'}, error),
            ),
        );
    });
    return [head, make('tbody', {}, ...rows)];
}
