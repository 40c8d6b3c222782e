// Trying again: every request can be, for none changes anything on the server.

const transient = [429, 502, 503, 504]; // the server, or a proxy before it, has no room at the moment
const longest = 2 ** 31 - 1; // milliseconds of a timer; a longer one ends at once

/** Waits; rejects as soon as `signal` is aborted. */
function sleep(milliseconds, signal) {
    return new Promise((resolve, reject) => {
        const stop = () => {
            clearTimeout(timer);
            reject(signal.reason);
        };
        const timer = setTimeout(() => {
            signal?.removeEventListener('abort', stop);
            resolve();
        }, Math.min(milliseconds, longest));
        signal?.addEventListener('abort', stop, {once: true});
    });
}

/** How long an answer asks to wait, in milliseconds, from its Retry-After: seconds or a date. null where it says nothing. */
export function retryAfter(headers, now = Date.now()) {
    const value = headers.get('retry-after')?.trim();
    if (!value) return null;
    if (/^\d+$/.test(value)) return Number(value) * 1000;
    const date = Date.parse(value);
    return Number.isNaN(date) ? null : Math.max(date - now, 0);
}

// A quarter of a second, doubled each time, and a little more or less, so that many clients do not come back at once.
const backoff = (attempt) => 250 * 2 ** attempt * (0.75 + Math.random() / 2);

// Whether another try may have another answer. lossd's own 503 says so with Retry-After; without it the request needs more time than
// it may take, and would again.
function mayPass({status, headers}) {
    const isProblem = /^application\/problem\+json\s*(;|$)/i.test(headers.get('content-type') ?? '');
    return status === 503 && isProblem ? headers.has('retry-after') : transient.includes(status);
}

/** Calls `send` until its answer is final, at most `retries` times more, and returns the last answer or throws the last error. */
export async function retrying(send, retries, signal) {
    for (let attempt = 0; ; attempt++) {
        let delay = backoff(attempt);
        try {
            const answer = await send();
            if (attempt >= retries || !mayPass(answer)) return answer;
            delay = retryAfter(answer.headers) ?? delay;
        } catch (error) {
            if (attempt >= retries || signal?.aborted) throw error;
        }
        signal?.throwIfAborted();
        await sleep(delay, signal);
    }
}
