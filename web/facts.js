// The table with the result of an evaluation.

import {byId, make} from './dom.js';
import {extent, short} from './format.js';

export function showFacts({loss, count, reduction, dtype, nonfinite, warnings, timing}) {
    const facts = [
        reduction === 'none' ? ['terms', spread(loss.numbers())] : ['loss', short(loss, 8)],
        ['counted terms', count.toLocaleString('en')],
        ['reduction', reduction],
        ['dtype', dtype],
        ['server time', `${short(timing.decode + timing.compute + timing.encode, 3)} ms`],
    ];
    if (nonfinite > 0) facts.push(['nonfinite', nonfinite.toLocaleString('en')]);
    clearFacts();
    byId('facts').replaceChildren(
        ...facts.map(([name, value]) =>
            make('div', {}, make('dt', {}, name), make('dd', {}, value)),
        ),
    );
    byId('warnings').replaceChildren(...warnings.map((warning) => make('li', {}, warning)));
    byId('warnings').hidden = warnings.length === 0;
}

/** Removes the result and shows the reason. */
export function clearFacts(why = '') {
    byId('facts').replaceChildren();
    byId('warnings').replaceChildren();
    byId('warnings').hidden = true;
    byId('result-error').textContent = why;
    byId('result-error').hidden = why === '';
}

const spread = (numbers) => {
    const [min, max] = extent(numbers);
    return numbers.length === 1 ? short(numbers[0], 8) : `${short(min)} … ${short(max)}`;
};
