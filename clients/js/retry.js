// Trying again: every request can be, for none changes anything on the server.

const tooMany = 429, unavailable = 503;

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
        }, milliseconds);
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

/** Calls `send` until it brings an answer other than 429 and 503, at most `retries` times more. The last answer, or error, holds. */
export async function retrying(send, retries, signal) {
    for (let attempt = 0; ; attempt++) {
        let delay = backoff(attempt);
        try {
            const answer = await send();
            if (attempt >= retries || (answer.status !== tooMany && answer.status !== unavailable)) return answer;
            delay = retryAfter(answer.headers) ?? delay;
        } catch (error) {
            if (attempt >= retries || signal?.aborted) throw error;
        }
        signal?.throwIfAborted();
        await sleep(delay, signal);
    }
}
