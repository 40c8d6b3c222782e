// What the server refuses, and what keeps it from answering.

export class LossdError extends Error {
    /**
     * @param {number} status of the answer; 0 where there was none
     * @param {{title?: string, detail?: string, pointer?: string, offset?: number}} problem as in RFC 9457
     */
    constructor(status, problem, {requestId = null, cause} = {}) {
        super(problem.detail ?? problem.title ?? `the server answered with status ${status}`, cause === undefined ? undefined : {cause});
        this.name = 'LossdError';
        this.status = status;
        this.title = problem.title ?? '';
        this.detail = problem.detail ?? '';
        /** A JSON Pointer to what is wrong: '/target/3'; null where nothing in particular is. */
        this.pointer = problem.pointer ?? null;
        /** The byte of the body where it was found; null where that is not known. */
        this.offset = problem.offset ?? null;
        this.requestId = requestId;
    }

    /** The error that an answer is. */
    static of({status, headers, body}) {
        let problem = {};
        try {
            problem = JSON.parse(new TextDecoder().decode(body));
        } catch {
            // It comes from something between us and the server: its status is what there is to say.
        }
        return new LossdError(status, problem, {requestId: headers.get('x-request-id')});
    }
}
