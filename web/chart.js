// Line charts and histograms, drawn by uPlot in the colors of the page.

import {make} from './dom.js';
import {short} from './format.js';

const uPlot = globalThis.uPlot;
const drawn = new Map(); // charts by host, to redraw them when colors change

const dark = matchMedia('(prefers-color-scheme: dark)');
dark.addEventListener('change', () => {
    // A copy, because drawing changes the map.
    for (const [host, {spec}] of [...drawn]) draw(host, spec);
});

const resized = new ResizeObserver((entries) => {
    for (const {target} of entries) drawn.get(target)?.plot.setSize(sizeOf(target));
});

const sizeOf = (host) => ({width: host.clientWidth, height: host.clientHeight});
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * Draws a chart into a host, replacing its content.
 * @param {HTMLElement} host
 * @param {{label: string, x: number[], series: {label: string, data: number[], color: string,
 *     kind?: string}[], sync?: string}} spec label is the text alternative; colors are names of
 *     custom properties; kinds are 'line', 'dashed', 'points', 'rings', 'bars'
 */
export function draw(host, spec) {
    clear(host);
    const plot = new uPlot(
        optionsOf(host, spec),
        [spec.x, ...spec.series.map(({data}) => data)],
        host,
    );
    host.setAttribute('role', 'img');
    host.setAttribute('aria-label', spec.label);
    drawn.set(host, {plot, spec});
    resized.observe(host);
}

/** Removes the chart of a host. */
export function clear(host) {
    resized.unobserve(host);
    drawn.get(host)?.plot.destroy();
    drawn.delete(host);
    host.removeAttribute('role');
    host.removeAttribute('aria-label');
    host.replaceChildren();
}

function optionsOf(host, {x, series, sync}) {
    const text = color('--soft'),
        grid = {stroke: color('--grid'), width: 1},
        font = '12px system-ui, sans-serif';
    const axis = {
        stroke: text,
        grid,
        ticks: {show: false},
        font,
        size: 52,
        values: (_, ticks) => ticks.map((tick) => short(tick)),
    };
    const readout = readoutOf(host);
    return {
        ...sizeOf(host),
        legend: {show: false},
        cursor: {
            y: false,
            drag: {x: false, y: false},
            points: {size: 7},
            ...(sync && {sync: {key: sync, setSeries: false, scales: ['x', null]}}),
        },
        scales: {
            x: {
                time: false,
                range: (_, min, max) => (min === max ? [min - 1, max + 1] : [min, max]),
            },
            y: {range: () => heights(series)},
        },
        axes: [
            {...axis, size: 30, space: 60},
            {...axis, space: 36},
        ],
        series: [{}, ...series.map(seriesOf)],
        hooks: {
            setCursor: [
                ({cursor: {idx}}) => {
                    readout.textContent =
                        idx === null || idx === undefined ? '' : readoutText(x, series, idx);
                },
            ],
        },
    };
}

// Returns the range of all values plus a margin, ignoring distant outliers.
function heights(series) {
    const all = series
        .flatMap(({data}) => data.filter((value) => value !== null && value !== undefined))
        .sort((a, b) => a - b);
    if (all.length === 0) return [0, 1];
    const at = (share) => all[Math.round(share * (all.length - 1))];
    let [min, max] = [all[0], all.at(-1)];
    const inner = at(0.98) - at(0.02),
        isBars = series[0].kind === 'bars';
    if (!isBars && all.length > 100 && inner > 0 && max - min > 8 * inner)
        [min, max] = [Math.max(min, at(0.02) - inner), Math.min(max, at(0.98) + inner)];
    const room = (max - min) * 0.06 || Math.abs(max) * 0.5 || 1;
    return [isBars ? 0 : min - room, max + room];
}

function seriesOf({label, color: name, kind = 'line'}) {
    const stroke = color(name),
        rings = kind === 'rings';
    if (kind === 'points' || rings) {
        return {
            label,
            stroke,
            paths: () => null,
            points: {
                show: true,
                size: 9,
                width: 2,
                stroke,
                fill: rings ? color('--panel') : stroke,
            },
        };
    }
    if (kind === 'bars')
        return {
            label,
            stroke,
            fill: color(`${name}-weak`),
            width: 1,
            paths: uPlot.paths.bars({size: [1, Infinity], align: 1, gap: 1}),
            points: {show: false},
        };
    return {
        label,
        stroke,
        width: kind === 'dashed' ? 1.5 : 2,
        ...(kind === 'dashed' && {dash: [5, 4]}),
        points: {show: false},
        spanGaps: false,
        pxAlign: 0,
    };
}

function readoutOf(host) {
    const caption = host.closest('figure').querySelector('figcaption');
    return (
        caption.querySelector('.readout') ??
        caption.appendChild(make('span', {className: 'readout', 'aria-hidden': 'true'}))
    );
}

function readoutText(x, series, idx) {
    const parts = series
        .filter(
            ({data, kind}) =>
                (kind ?? 'line') !== 'rings' &&
                kind !== 'points' &&
                data[idx] !== null &&
                data[idx] !== undefined,
        )
        .map(({label, data}) => `${label} ${short(data[idx])}`);
    return `at ${short(x[idx])}: ${parts.join(', ')}`;
}
