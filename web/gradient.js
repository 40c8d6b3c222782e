// Shows gradients and diagonals of the Hessian of a batch: statistics, a histogram, a heat map and
// the worst samples.

import {clear, draw} from './chart.js';
import {byId, fillSelect, make} from './dom.js';
import {extent, short} from './format.js';
import {heatmap} from './heatmap.js';

const bins = 40,
    rows = 10,
    mapRows = 16,
    mapColumns = 32;
const chosen = byId('gradient-tensor');

export class GradientView {
    #shown = null;

    /** Calls `pick` with the sample that the user selects. */
    constructor(pick) {
        this.pick = pick;
        chosen.addEventListener('input', () => this.#shown && this.#draw());
    }

    /**
     * Shows gradients and Hessians by tensor names. `terms` are the losses of the terms, as
     * numbers.
     */
    show({grad, hess, terms, samples}) {
        const entries = (derivatives, words) =>
            Object.entries(derivatives).map(([name, tensor]) => [
                `${words} ${name}`,
                {name, tensor},
            ]);
        const derivatives = Object.fromEntries([
                ...entries(grad, 'gradient of'),
                ...entries(hess, 'Hessian diagonal of'),
            ]),
            names = Object.keys(derivatives);
        fillSelect(chosen, names, names.includes(chosen.value) ? chosen.value : names[0]);
        byId('gradient-of').hidden = names.length < 2;
        this.#shown = {derivatives, samples, losses: sampleLosses(terms, samples)};
        this.#draw();
    }

    clear() {
        this.#shown = null;
        clear(byId('histogram'));
        byId('gradient-summary').textContent = '';
        byId('gradient-of').hidden = true;
        byId('heatmap-figure').hidden = true;
        byId('worst').replaceChildren();
    }

    #draw() {
        const {derivatives, samples, losses} = this.#shown,
            title = chosen.value,
            {name, tensor} = derivatives[title],
            numbers = tensor.numbers();
        const worst = order(losses).slice(0, Math.max(rows, mapRows));
        byId('gradient-summary').textContent = wordsOf(numbers);
        drawHistogram(byId('histogram'), title, numbers);
        drawHeatmap(tensor, numbers, worst, samples);
        byId('worst').replaceChildren(
            ...table(worst.slice(0, rows), losses, {title, name, numbers}, samples, this.pick),
        );
    }
}

// The loss of each sample: its term, or the sum of its terms.
function sampleLosses(terms, samples) {
    if (samples.kind === 'whole') return Array.from(terms);
    const each = terms.length / samples.count;
    if (!Number.isInteger(each)) return Array.from(terms);
    return Array.from({length: samples.count}, (_, i) =>
        terms.slice(i * each, (i + 1) * each).reduce((sum, term) => sum + term, 0),
    );
}

// Samples by descending loss, NaN first.
function order(losses) {
    return losses.map((loss, i) => i).sort((a, b) => key(losses[b]) - key(losses[a]) || a - b);
}

const key = (loss) => (Number.isNaN(loss) ? Infinity : Math.min(loss, Number.MAX_VALUE));

const norm = (numbers) => Math.sqrt(numbers.reduce((sum, number) => sum + number * number, 0));

function wordsOf(numbers) {
    const [min, max] = extent(numbers);
    const zeros = numbers.reduce((count, number) => count + (number === 0), 0);
    const zeroText = zeros ? `; zeros: ${zeros.toLocaleString('en')}` : '';
    return (
        `${numbers.length.toLocaleString('en')} numbers from ${short(min)} to ${short(max)}; ` +
        `norm ${short(norm(numbers))}${zeroText}`
    );
}

function drawHistogram(host, title, numbers) {
    const sorted = Float64Array.from(numbers).filter(Number.isFinite).sort();
    if (sorted.length === 0) {
        clear(host);
        return;
    }
    const {min, max, clipped} = histogramRange(sorted),
        width = (max - min) / bins,
        counts = new Array(bins).fill(0);
    for (const number of sorted)
        counts[Math.min(Math.max(Math.floor((number - min) / width), 0), bins - 1)]++;
    const mode = counts.indexOf(Math.max(...counts));
    byId('histogram-caption').textContent =
        `Gradient histogram${clipped ? '; the outer bars include all values beyond' : ''}`;
    draw(host, {
        label:
            `Histogram, ${title}: from ${short(sorted[0])} to ${short(sorted.at(-1))}, largest ` +
            `often near ${short(min + (mode + 0.5) * width)}`,
        x: [...counts.map((_, i) => min + i * width), max],
        series: [{label: 'count', data: [...counts, null], color: '--line-2', kind: 'bars'}],
    });
}

// The range of all numbers; clipped if outliers would squeeze the rest into one bar.
function histogramRange(sorted) {
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))],
        [min, max] = [sorted[0], sorted.at(-1)],
        inner = at(0.99) - at(0.01);
    if (min === max) {
        const room = Math.abs(min) / 2 || 0.5;
        return {min: min - room, max: max + room, clipped: false};
    }
    if (sorted.length < 100 || inner === 0 || max - min < 4 * inner)
        return {min, max, clipped: false};
    return {
        min: Math.max(min, at(0.01) - inner / 2),
        max: Math.min(max, at(0.99) + inner / 2),
        clipped: true,
    };
}

function drawHeatmap(tensor, numbers, worst, samples) {
    const [, columns] = tensor.shape,
        fits = samples.kind === 'rows' && tensor.shape.length === 2 && columns > 1;
    byId('heatmap-figure').hidden = !fits;
    if (!fits) return;
    const shown = worst.slice(0, mapRows).filter((row) => row < tensor.shape[0]),
        width = Math.min(columns, mapColumns);
    const {table: map, unit} = heatmap(
        shown,
        Array.from({length: width}, (_, i) => i),
        (row, column) => numbers[row * columns + column],
    );
    const rowText =
        shown.length < tensor.shape[0] ? `The worst ${shown.length} rows` : 'Rows, the worst first';
    const columnText = width < columns ? `the first ${width} columns` : 'columns';
    byId('heatmap-caption').textContent = `${rowText}, by ${columnText}${unit && `; in ${unit}`}`;
    byId('heatmap').replaceChildren(map);
}

// ---- Worst samples ----

function table(worst, losses, {title, name, numbers}, samples, pick) {
    const columns = samples.kind === 'whole' ? [] : samples.specs.map(({name: tensor}) => tensor);
    const head = make(
        'thead',
        {},
        make(
            'tr',
            {},
            ...['sample', 'loss', ...columns, samples.kind === 'whole' ? null : title]
                .filter(Boolean)
                .map((text) => make('th', {scope: 'col'}, text)),
        ),
    );
    const rowOf = (sample) =>
        make(
            'tr',
            {},
            make(
                'th',
                {scope: 'row'},
                samples.kind === 'whole'
                    ? samples.label(sample)
                    : make(
                          'button',
                          {
                              type: 'button',
                              className: 'quiet',
                              title: 'show the curve of this sample',
                              onclick: () => pick(sample),
                          },
                          samples.label(sample),
                      ),
            ),
            make('td', {}, short(losses[sample])),
            ...columns.map((column) => make('td', {}, cell(samples.values(column, sample)))),
            samples.kind === 'whole'
                ? null
                : make('td', {}, derivativeCell(numbers, name, sample, samples)),
        );
    return [head, make('tbody', {}, ...worst.map(rowOf))];
}

// Formats a number; for a row, its maximum and the index of the maximum.
function cell(values) {
    if (values.length === 1) return short(values[0]);
    const largest = values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
    return `${short(values[largest])} at ${largest}`;
}

function derivativeCell(numbers, name, sample, samples) {
    const {shape} = samples.tensors[name];
    if (samples.kind === 'elements')
        return shape.join() === samples.whole.join() ? short(numbers[sample]) : 'shared';
    const width = samples.width(name);
    return `norm ${short(norm(numbers.subarray(sample * width, (sample + 1) * width)))}`;
}
