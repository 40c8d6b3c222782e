// The derivatives of a batch, gradients and diagonals of the Hessian: how large they are, how their numbers are spread, and what is worst.

import {clear, draw} from './chart.js';
import {byId, fillSelect, make} from './dom.js';
import {extent, short} from './format.js';
import {heatmap} from './heatmap.js';

const bins = 40, rows = 10, mapRows = 16, mapColumns = 32;
const chosen = byId('gradient-tensor');

export class GradientView {
    #shown = null;

    /** `pick` is called with a sample that the user wants to see more of. */
    constructor(pick) {
        this.pick = pick;
        chosen.addEventListener('input', () => this.#shown && this.#draw());
    }

    /** Shows gradients and Hessians by the names of tensors, and `terms`, the losses one by one, as numbers. */
    show({grad, hess, terms, samples}) {
        const entries = (derivatives, words) => Object.entries(derivatives).map(([name, tensor]) => [`${words} ${name}`, {name, tensor}]);
        const derivatives = Object.fromEntries([...entries(grad, 'gradient of'), ...entries(hess, 'Hessian diagonal of')]), names = Object.keys(derivatives);
        fillSelect(chosen, names, names.includes(chosen.value) ? chosen.value : names[0]);
        byId('gradient-of').hidden = names.length < 2;
        this.#shown = {derivatives, samples, losses: sampleLosses(terms, samples)};
        this.#draw();
    }

    clear() {
        this.#shown = null;
        clear(byId('histogram'));
        byId('gradient-words').textContent = '';
        byId('gradient-of').hidden = true;
        byId('heatmap-figure').hidden = true;
        byId('worst').replaceChildren();
    }

    #draw() {
        const {derivatives, samples, losses} = this.#shown, title = chosen.value, {name, tensor} = derivatives[title], numbers = tensor.numbers();
        const worst = order(losses).slice(0, Math.max(rows, mapRows));
        byId('gradient-words').textContent = wordsOf(numbers);
        drawHistogram(byId('histogram'), title, numbers);
        drawHeatmap(tensor, numbers, worst, samples);
        byId('worst').replaceChildren(...table(worst.slice(0, rows), losses, {title, name, numbers}, samples, this.pick));
    }
}

// What each sample costs: its term, or the sum of those it has.
function sampleLosses(terms, samples) {
    if (samples.kind === 'whole') return Array.from(terms);
    const each = terms.length / samples.count;
    if (!Number.isInteger(each)) return Array.from(terms);
    return Array.from({length: samples.count}, (_, i) => terms.slice(i * each, (i + 1) * each).reduce((sum, term) => sum + term, 0));
}

// Samples by their loss, the worst first; what is not a number is worst of all.
function order(losses) {
    return losses.map((loss, i) => i).sort((a, b) => key(losses[b]) - key(losses[a]) || a - b);
}

const key = (loss) => (Number.isNaN(loss) ? Infinity : Math.min(loss, Number.MAX_VALUE));

const norm = (numbers) => Math.sqrt(numbers.reduce((sum, number) => sum + number * number, 0));

function wordsOf(numbers) {
    const [least, greatest] = extent(numbers);
    const zeros = numbers.reduce((count, number) => count + (number === 0), 0);
    return `${numbers.length.toLocaleString('en')} numbers from ${short(least)} to ${short(greatest)}; norm ${short(norm(numbers))}${zeros ? `; zeros: ${zeros.toLocaleString('en')}` : ''}`;
}

function drawHistogram(host, title, numbers) {
    const sorted = Float64Array.from(numbers).filter(Number.isFinite).sort();
    if (sorted.length === 0) {
        clear(host);
        return;
    }
    const {least, greatest, gathered} = histogramRange(sorted), width = (greatest - least) / bins, counts = new Array(bins).fill(0);
    for (const number of sorted) counts[Math.min(Math.max(Math.floor((number - least) / width), 0), bins - 1)]++;
    const most = counts.indexOf(Math.max(...counts));
    byId('histogram-caption').textContent = `how often, by size${gathered ? '; the ends hold all beyond' : ''}`;
    draw(host, {
        label: `Histogram, ${title}: from ${short(sorted[0])} to ${short(sorted.at(-1))}, most often near ${short(least + (most + 0.5) * width)}`,
        x: [...counts.map((_, i) => least + i * width), greatest],
        series: [{label: 'count', data: [...counts, null], colour: '--line-2', kind: 'bars'}],
    });
}

// All of them, unless a few lie so far out that the rest would be one bar.
function histogramRange(sorted) {
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))], [least, greatest] = [sorted[0], sorted.at(-1)], inner = at(0.99) - at(0.01);
    if (least === greatest) {
        const room = Math.abs(least) / 2 || 0.5;
        return {least: least - room, greatest: greatest + room, gathered: false};
    }
    if (sorted.length < 100 || inner === 0 || greatest - least < 4 * inner) return {least, greatest, gathered: false};
    return {least: Math.max(least, at(0.01) - inner / 2), greatest: Math.min(greatest, at(0.99) + inner / 2), gathered: true};
}

function drawHeatmap(tensor, numbers, worst, samples) {
    const [, columns] = tensor.shape, fits = samples.kind === 'rows' && tensor.shape.length === 2 && columns > 1;
    byId('heatmap-figure').hidden = !fits;
    if (!fits) return;
    const shown = worst.slice(0, mapRows).filter((row) => row < tensor.shape[0]), width = Math.min(columns, mapColumns);
    const {table: map, unit} = heatmap(shown, Array.from({length: width}, (_, i) => i), (row, column) => numbers[row * columns + column]);
    byId('heatmap-caption').textContent = `${shown.length < tensor.shape[0] ? `the worst ${shown.length} rows` : 'rows, the worst first'}, by ${
        width < columns ? `the first ${width} columns` : 'columns'}${unit && `; in ${unit}`}`;
    byId('heatmap').replaceChildren(map);
}

// ---- the worst samples -------------------------------------------------------------------------------------------------

function table(worst, losses, {title, name, numbers}, samples, pick) {
    const columns = samples.kind === 'whole' ? [] : samples.specs.map(({name: tensor}) => tensor);
    const head = make('thead', {}, make('tr', {}, ...['sample', 'loss', ...columns, samples.kind === 'whole' ? null : title].filter(Boolean)
        .map((text) => make('th', {scope: 'col'}, text))));
    const rowOf = (sample) => make('tr', {},
        make('th', {scope: 'row'}, samples.kind === 'whole' ? samples.label(sample) : make('button', {type: 'button', className: 'quiet', title: 'show its curve', onclick: () => pick(sample)}, samples.label(sample))),
        make('td', {}, short(losses[sample])),
        ...columns.map((column) => make('td', {}, cell(samples.values(column, sample)))),
        samples.kind === 'whole' ? null : make('td', {}, derivativeCell(numbers, name, sample, samples)));
    return [head, make('tbody', {}, ...worst.map(rowOf))];
}

// A number; of a row its greatest element, and where that is.
function cell(values) {
    if (values.length === 1) return short(values[0]);
    const most = values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
    return `${short(values[most])} at ${most}`;
}

function derivativeCell(numbers, name, sample, samples) {
    const {shape} = samples.tensors[name];
    if (samples.kind === 'elements') return shape.join() === samples.whole.join() ? short(numbers[sample]) : 'shared';
    const width = samples.width(name);
    return `norm ${short(norm(numbers.subarray(sample * width, (sample + 1) * width)))}`;
}
