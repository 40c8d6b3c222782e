// The status line: readiness and metrics of the server, updated while the page is visible.

import {byId} from './dom.js';
import {scaled} from './format.js';

const interval = 2000; // ms

/** Shows the status and keeps it up to date. `get(path)` fetches a path of the server. */
export function watchStatus(get) {
    let before = null;
    const update = async () => {
        if (!document.hidden) before = await refresh(get, before);
        setTimeout(update, interval);
    };
    update();
}

async function refresh(get, before) {
    try {
        const ready = await get('readyz');
        setStatus('ready', (await ready.text()).trim());
        byId('status').dataset.state = ready.ok ? 'good' : 'bad';
        const metrics = await get('metrics');
        // Metrics can require a token or be served on another address.
        return metrics.ok
            ? show({...parse(await metrics.text()), at: performance.now()}, before)
            : null;
    } catch {
        setStatus('ready', 'unreachable');
        byId('status').dataset.state = 'bad';
        return null;
    }
}

function setStatus(what, text) {
    const value = byId(`status-${what}`);
    if (value.textContent !== text) value.textContent = text;
    value.parentElement.hidden = false;
}

// Sums each metric over its labels. The text format is that of Prometheus.
function parse(text) {
    const sums = {};
    for (const [, name, value] of text.matchAll(/^([a-z_]+)(?:\{.*\})? (\S+)/gm))
        sums[name] = (sums[name] ?? 0) + Number(value);
    return sums;
}

function show(now, before) {
    const rate = (name) =>
        before && name in now
            ? (Math.max(now[name] - before[name], 0) / (now.at - before.at)) * 1000
            : null;
    const requests = rate('lossd_http_requests_total'),
        elements = rate('lossd_elements_total');
    if (requests !== null) setStatus('requests', `${scaled(requests)}/s`);
    if (elements !== null) setStatus('elements', `${scaled(elements)}/s`);
    if ('lossd_queue_jobs' in now) setStatus('queue', String(now.lossd_queue_jobs));
    if ('process_resident_memory_bytes' in now)
        setStatus('memory', scaled(now.process_resident_memory_bytes, 1024));
    return now;
}
