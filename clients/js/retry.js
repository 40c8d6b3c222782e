// Retries. Every request is idempotent.

const transient = [429, 502, 503, 504]; // the server, or a proxy in front of it, is overloaded
const maxTimer = 2 ** 31 - 1; // milliseconds; longer timers would expire immediately

/** Waits. Rejects as soon as `signal` is aborted. */
function sleep(milliseconds, signal) {
    return new Promise((resolve, reject) => {
        const stop = () => {
            clearTimeout(timer);
            reject(signal.reason);
        };
        const timer = setTimeout(
            () => {
                signal?.removeEventListener('abort', stop);
                resolve();
            },
            Math.min(milliseconds, maxTimer),
        );
        signal?.addEventListener('abort', stop, {once: true});
    });
}

/** Parses Retry-After, seconds or a date, to milliseconds; null if it is missing or invalid. */
export function retryAfter(headers, now = Date.now()) {
    const value = headers.get('retry-after')?.trim();
    if (!value) return null;
    if (/^\d+$/.test(value)) return Number(value) * 1000;
    const date = Date.parse(value);
    return Number.isNaN(date) ? null : Math.max(date - now, 0);
}

// Exponential backoff from 250 ms, with ±25 % jitter so that clients do not retry at the same time.
const backoff = (attempt) => 250 * 2 ** attempt * (0.75 + Math.random() / 2);

// Returns true if a retry can succeed. lossd's own 503 without Retry-After means that the request
// exceeded the compute timeout; a retry would too.
function isRetryable({status, headers}) {
    const isProblem = /^application\/problem\+json\s*(;|$)/i.test(
        headers.get('content-type') ?? '',
    );
    return status === 503 && isProblem ? headers.has('retry-after') : transient.includes(status);
}

/**
 * Calls `send`, with up to `retries` retries, and returns the last response or throws the last
 * error. Throws the reason of `signal` if it is aborted between two attempts.
 */
export async function retrying(send, retries, signal) {
    for (let attempt = 0; ; attempt++) {
        let delay = backoff(attempt);
        try {
            const response = await send();
            if (attempt >= retries || !isRetryable(response)) return response;
            delay = retryAfter(response.headers) ?? delay;
        } catch (error) {
            if (attempt >= retries || signal?.aborted) throw error;
        }
        signal?.throwIfAborted();
        await sleep(delay, signal);
    }
}
