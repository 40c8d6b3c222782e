// A table with cells colored by value: one color for negative, one for positive numbers, stronger
// for larger magnitudes.

import {make} from './dom.js';
import {short} from './format.js';

const maxTextColumns = 12; // above this, cells are too narrow for text

/**
 * Makes the table of `value(row, column)`. Numbers are in units of a power of ten, to keep them
 * short.
 * @returns {{table: HTMLTableElement, unit: string}} the unit, '' for 1
 */
export function heatmap(rows, columns, value) {
    const max = rows.reduce(
        (size, row) =>
            columns.reduce(
                (inner, column) => Math.max(inner, Math.abs(value(row, column)) || 0),
                size,
            ),
        0,
    );
    const legible = columns.length <= maxTextColumns,
        power = max > 0 && Number.isFinite(max) ? Math.floor(Math.log10(max)) : 0;
    const written = (number) =>
        Number.isFinite(number)
            ? (number / 10 ** power)
                  .toFixed(1)
                  .replace(/^-?0\.0$/, '0')
                  .replace('-', '−')
            : String(number);
    const cellOf = (row, column) => {
        const number = value(row, column),
            share = max > 0 && Number.isFinite(number) ? Math.abs(number) / max : 0;
        const cell = make(
            'td',
            {title: `row ${row}, column ${column}: ${short(number)}`},
            make('span', {className: legible ? '' : 'hidden'}, written(number)),
        );
        cell.style.setProperty('--share', `${Math.round(share * 100)}%`);
        cell.className = number < 0 ? 'below' : 'above';
        return cell;
    };
    const table = make(
        'table',
        {},
        make(
            'thead',
            {},
            make(
                'tr',
                {},
                make('th', {scope: 'col'}, make('span', {className: 'hidden'}, 'row')),
                ...columns.map((column) => make('th', {scope: 'col'}, String(column))),
            ),
        ),
        make(
            'tbody',
            {},
            ...rows.map((row) =>
                make(
                    'tr',
                    {},
                    make('th', {scope: 'row'}, String(row)),
                    ...columns.map((column) => cellOf(row, column)),
                ),
            ),
        ),
    );
    return {table, unit: power === 0 ? '' : `1e${power}`.replace('-', '−')};
}
