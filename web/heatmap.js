// A table whose cells are coloured by their numbers: one colour below 0, another above, the stronger the greater.

import {make} from './dom.js';
import {short} from './format.js';

const mostText = 12; // columns in which numbers can be read

/**
 * The table of `value(row, column)`. Numbers are written in units of a power of ten, so that they are short.
 * @returns {{table: HTMLTableElement, unit: string}} the unit, '' where it is 1
 */
export function heatmap(rows, columns, value) {
    const most = rows.reduce((size, row) => columns.reduce((inner, column) => Math.max(inner, Math.abs(value(row, column)) || 0), size), 0);
    const legible = columns.length <= mostText, power = most > 0 && Number.isFinite(most) ? Math.floor(Math.log10(most)) : 0;
    const written = (number) => (Number.isFinite(number) ? (number / 10 ** power).toFixed(1).replace(/^-?0\.0$/, '0').replace('-', '−') : String(number));
    const cellOf = (row, column) => {
        const number = value(row, column), share = most > 0 && Number.isFinite(number) ? Math.abs(number) / most : 0;
        const cell = make('td', {title: `row ${row}, column ${column}: ${short(number)}`}, make('span', {className: legible ? '' : 'hidden'}, written(number)));
        cell.style.setProperty('--share', `${Math.round(share * 100)}%`);
        cell.className = number < 0 ? 'below' : 'above';
        return cell;
    };
    const table = make('table', {},
        make('thead', {}, make('tr', {}, make('th', {scope: 'col'}, make('span', {className: 'hidden'}, 'row')), ...columns.map((column) => make('th', {scope: 'col'}, String(column))))),
        make('tbody', {}, ...rows.map((row) => make('tr', {}, make('th', {scope: 'row'}, String(row)), ...columns.map((column) => cellOf(row, column))))));
    return {table, unit: power === 0 ? '' : `1e${power}`.replace('-', '−')};
}
