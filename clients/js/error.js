// Errors that the server returns, and failures to reach it.

export class LossdError extends Error {
    /**
     * @param {number} status of the response; 0 if there was none
     * @param {{title?: string, detail?: string, pointer?: string, offset?: number}} problem as in
     *     RFC 9457
     */
    constructor(status, problem, {requestId = null, cause} = {}) {
        super(
            problem.detail ?? problem.title ?? `the server responded with status ${status}`,
            cause === undefined ? undefined : {cause},
        );
        this.name = 'LossdError';
        this.status = status;
        this.title = problem.title ?? '';
        this.detail = problem.detail ?? '';
        /** A JSON Pointer to the invalid value, such as '/target/3'; null if there is none. */
        this.pointer = problem.pointer ?? null;
        /** The offset of the error in the request body, in bytes; null if it is unknown. */
        this.offset = problem.offset ?? null;
        this.requestId = requestId;
    }

    /** Returns the error in a response. */
    static of({status, headers, body}) {
        let problem = {};
        try {
            problem = JSON.parse(new TextDecoder().decode(body));
        } catch {
            // The body is not from lossd but from a proxy: only the status is known.
        }
        return new LossdError(status, problem, {requestId: headers.get('x-request-id')});
    }
}
