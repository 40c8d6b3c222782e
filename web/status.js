// How the server does, from its metrics, as long as somebody looks.

import {byId} from './dom.js';
import {scaled} from './format.js';

const every = 2000;

/** Shows it and keeps it up to date. `ask(path)` fetches a path of the server. */
export function watchStatus(ask) {
    let before = null;
    const look = async () => {
        if (!document.hidden) before = await refresh(ask, before);
        setTimeout(look, every);
    };
    look();
}

async function refresh(ask, before) {
    try {
        const ready = await ask('readyz');
        say('ready', (await ready.text()).trim());
        byId('status').dataset.state = ready.ok ? 'good' : 'bad';
        const metrics = await ask('metrics');
        // Whoever may not see them, or gets them elsewhere, does without.
        return metrics.ok ? show({...parse(await metrics.text()), at: performance.now()}, before) : null;
    } catch {
        say('ready', 'not reached');
        byId('status').dataset.state = 'bad';
        return null;
    }
}

function say(what, text) {
    const value = byId(`status-${what}`);
    if (value.textContent !== text) value.textContent = text;
    value.parentElement.hidden = false;
}

// The sum over all labels of each metric, in the text format of Prometheus.
function parse(text) {
    const sums = {};
    for (const [, name, value] of text.matchAll(/^([a-z_]+)(?:\{.*\})? (\S+)/gm)) sums[name] = (sums[name] ?? 0) + Number(value);
    return sums;
}

function show(now, before) {
    const rate = (name) => (before && name in now ? Math.max(now[name] - before[name], 0) / (now.at - before.at) * 1000 : null);
    const requests = rate('lossd_http_requests_total'), elements = rate('lossd_elements_total');
    if (requests !== null) say('requests', `${scaled(requests)}/s`);
    if (elements !== null) say('elements', `${scaled(elements)}/s`);
    if ('lossd_queue_jobs' in now) say('queue', String(now.lossd_queue_jobs));
    if ('process_resident_memory_bytes' in now) say('memory', scaled(now.process_resident_memory_bytes, 1024));
    return now;
}
