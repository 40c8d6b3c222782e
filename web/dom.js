// Making and filling elements.

/** An element with properties, attributes (names with a hyphen, role, for) and children; null and false children are left out. */
export function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (name in element && !name.includes('-')) element[name] = value;
        else element.setAttribute(name, value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== false && child !== undefined));
    return element;
}

export const byId = (id) => document.getElementById(id);

/** The options of a select; each is [value, text] or a text that is both. */
export function fillSelect(select, options, chosen) {
    select.replaceChildren(...options.map((option) => {
        const [value, text] = Array.isArray(option) ? option : [option, option];
        return make('option', {value, selected: value === chosen}, text);
    }));
}

/** Calls `action` once `wait` milliseconds have passed without another call; `cancel` calls off what has not been called yet. */
export function debounced(action, wait) {
    let timer;
    const later = (...values) => {
        clearTimeout(timer);
        timer = setTimeout(() => action(...values), wait);
    };
    later.cancel = () => clearTimeout(timer);
    return later;
}

/**
 * Runs `task(signal)`, aborting the run before it: only the last answer counts. What becomes of a run that was overtaken is
 * dropped. `stop` aborts the run without another.
 */
export function latest(task) {
    let running = null;
    const run = async (...values) => {
        running?.abort();
        const own = running = new AbortController();
        try {
            await task(own.signal, ...values);
        } catch (error) {
            if (!own.signal.aborted) throw error;
        }
    };
    run.stop = () => running?.abort();
    return run;
}

/**
 * Runs actions one after another. One that supersedes aborts those like it that run or wait.
 * @returns {function(function(AbortSignal): Promise, {supersedes?: boolean}=): Promise}
 */
export function queue() {
    let last = Promise.resolve(), waiting = [];
    return (action, {supersedes = false} = {}) => {
        const own = new AbortController();
        if (supersedes) {
            for (const other of waiting) other.abort();
            waiting.push(own);
        }
        last = last.then(async () => {
            try {
                if (!own.signal.aborted) await action(own.signal);
            } finally {
                waiting = waiting.filter((other) => other !== own);
            }
        });
        const done = last;
        last = last.catch(() => {}); // it is for who asked; the next one runs all the same
        return done;
    };
}
