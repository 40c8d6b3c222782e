// What an evaluation came to.

import {byId, make} from './dom.js';
import {extent, short} from './format.js';

export function showFacts({loss, count, reduction, dtype, nonfinite, warnings, timing}) {
    const facts = [
        reduction === 'none' ? ['terms', spread(loss.numbers())] : ['loss', short(loss, 8)],
        ['terms counted', count.toLocaleString('en')],
        ['reduction', reduction],
        ['computed in', dtype],
        ['server time', `${short(timing.decode + timing.compute + timing.encode, 3)} ms`],
    ];
    if (nonfinite > 0) facts.push(['not finite', nonfinite.toLocaleString('en')]);
    clearFacts();
    byId('facts').replaceChildren(...facts.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value))));
    byId('warnings').replaceChildren(...warnings.map((warning) => make('li', {}, warning)));
    byId('warnings').hidden = warnings.length === 0;
}

/** Shows no facts, but why there are none. */
export function clearFacts(why = '') {
    byId('facts').replaceChildren();
    byId('warnings').replaceChildren();
    byId('warnings').hidden = true;
    byId('result-mistake').textContent = why;
    byId('result-mistake').hidden = why === '';
}

const spread = (numbers) => {
    const [least, greatest] = extent(numbers);
    return numbers.length === 1 ? short(numbers[0], 8) : `${short(least)} … ${short(greatest)}`;
};
