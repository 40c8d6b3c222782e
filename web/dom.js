// Helpers for DOM elements and events.

/**
 * Makes an element with properties, attributes (names with a hyphen, role, for) and children. Skips
 * null and false children.
 */
export function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (name in element && !name.includes('-')) element[name] = value;
        else element.setAttribute(name, value);
    }
    element.append(
        ...children
            .flat()
            .filter((child) => child !== null && child !== false && child !== undefined),
    );
    return element;
}

export const byId = (id) => document.getElementById(id);

/** Sets the options of a select; each is [value, text], or one string for both. */
export function fillSelect(select, options, chosen) {
    select.replaceChildren(
        ...options.map((option) => {
            const [value, text] = Array.isArray(option) ? option : [option, option];
            return make('option', {value, selected: value === chosen}, text);
        }),
    );
}

/**
 * Returns a function that calls `action` after `wait` milliseconds without another call. `cancel`
 * cancels a pending call.
 */
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
 * Returns a function that runs `task(signal)` and aborts the previous run, whose errors are
 * ignored. `stop` aborts the current run.
 */
export function latest(task) {
    let running = null;
    const run = async (...values) => {
        running?.abort();
        const own = (running = new AbortController());
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
 * Returns a function that runs actions in sequence. An action that supersedes aborts all other
 * superseding ones, running or waiting.
 * @returns {function(function(AbortSignal): Promise, {supersedes?: boolean}=): Promise}
 */
export function queue() {
    let last = Promise.resolve(),
        waiting = [];
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
        last = last.catch(() => {}); // the caller handles the error; the next action runs anyway
        return done;
    };
}
