// Asking a server for losses and gradients.

import {LossdError} from './error.js';
import {bodyOf, resultOf as resultOfJson} from './evaluate.js';
import {losses} from './losses.js';
import {checkFields, lossOf, split} from './request.js';
import {retrying} from './retry.js';
import {decode, encode} from './safetensors.js';

const safetensors = 'application/vnd.safetensors';
const json = 'application/json';

export class Client {
    #url;
    #token;
    #retries;
    #fetch;
    #known = new Map(); // losses that are not in our table, as the server describes them

    /**
     * @param {string|URL} [url] of the server; left out, LOSSD_URL of the environment, or 'http://127.0.0.1:8080'
     * @param {{token?: string, retries?: number, fetch?: typeof fetch}} [options] a bearer token, left out together with the url
     *     LOSSD_TOKEN of the environment; how often to try again where the server is busy or not reached; another fetch
     */
    constructor(url, options = {}) {
        checkOptions(options, ['token', 'retries', 'fetch']);
        const {token, retries = 2, fetch = globalThis.fetch} = options;
        const environment = (url === undefined && globalThis.process?.env) || {}; // its token goes to no other server
        this.#url = checked(url ?? (environment.LOSSD_URL || 'http://127.0.0.1:8080'));
        this.#token = soundToken(token ?? (environment.LOSSD_TOKEN || undefined));
        this.#retries = soundRetries(retries);
        if (typeof fetch !== 'function') throw new TypeError(`fetch is ${fetch}; it must be a function`);
        this.#fetch = (...request) => fetch(...request); // browsers want it called without an object
    }

    /** Evaluates the loss of that name or alias. The losses of this version have methods of their own besides: mse(fields). */
    async loss(name, fields, options) {
        checkFields(fields);
        const description = await this.#find(name, options);
        const {tensors, query} = split(description, fields);
        const answer = await this.#send('POST', `/v1/losses/${encodeURIComponent(name)}?${query}`.replace(/\?$/, ''), options,
            {body: encode(tensors), type: safetensors, accept: safetensors});
        return resultOf(fileOf(answer), answer.headers);
    }

    /** Evaluates several losses over the same tensors, which are sent once: `losses` has names, or objects of a name `loss` and fields. */
    async evaluate(fields, options) {
        const answer = await this.#send('POST', '/v1/evaluate', options, {body: bodyOf(fields), type: json});
        return jsonOf(answer).results.map((result) => ({...resultOfJson(result), ...contextOf(answer.headers)}));
    }

    /** What the server says of every loss. */
    async losses(options) {
        return jsonOf(await this.#send('GET', '/v1/losses', options)).losses;
    }

    /** What the server says of one. */
    async describe(name, options) {
        return jsonOf(await this.#send('GET', `/v1/losses/${encodeURIComponent(name)}`, options));
    }

    async #find(name, options) {
        const ours = lossOf(name);
        if (ours) return ours;
        if (!this.#known.has(name)) {
            const {tensors} = await this.describe(name, options);
            this.#known.set(name, {tensors: Object.fromEntries(tensors.map((tensor) => [tensor.name, tensor]))});
        }
        return this.#known.get(name);
    }

    // Sends a request until it is answered, and takes the whole answer; one that is an error is thrown.
    async #send(method, path, options = {}, {body, type, accept = json} = {}) {
        checkOptions(options, ['signal', 'retries']);
        const {signal} = options, retries = soundRetries(options.retries ?? this.#retries);
        if (signal && typeof signal.addEventListener !== 'function') throw new TypeError(`signal is ${signal}; it must be an AbortSignal`);
        const headers = {Accept: accept};
        if (type) headers['Content-Type'] = type;
        if (this.#token !== undefined) headers.Authorization = `Bearer ${this.#token}`;
        const request = {method, headers, body, signal};
        const send = async () => {
            const response = await this.#fetch(this.#url + path, request);
            return {status: response.status, headers: response.headers, body: await response.arrayBuffer()};
        };
        let answer;
        try {
            answer = await retrying(send, retries, signal);
        } catch (error) {
            if (signal?.aborted) throw signal.reason;
            throw unreachable(this.#url, error);
        }
        if (answer.status !== 200) throw LossdError.of(answer);
        return answer;
    }
}

for (const name of Object.keys(losses)) {
    Object.defineProperty(Client.prototype, name, {
        value(fields, options) {
            return this.loss(name, fields, options);
        },
        writable: true, configurable: true,
    });
}

function checkOptions(options, known) {
    if (typeof options !== 'object' || options === null) throw new TypeError(`the options are ${options}; they must be an object`);
    const unknown = Object.keys(options).find((name) => !known.includes(name));
    if (unknown !== undefined) throw new TypeError(`there is no option '${unknown}'; there are ${known.join(', ')}`);
}

function checked(url) {
    const shown = String(url).includes('@') ? 'the url is not sound' : `the url is '${url}'`; // without a password
    const wrong = new TypeError(`${shown}; it must be like http://127.0.0.1:8080`);
    if (!/^https?:\/\/[^/\s]\S*$/i.test(url)) throw wrong;
    const {username, password, search, hash} = parsed(url, wrong);
    if (username || password) throw new TypeError('the url has a user or a password, which a lossd does not ask for; give it a token');
    if (search || hash) throw wrong;
    return String(url).replace(/\/+$/, '');
}

function parsed(url, wrong) {
    try {
        return new URL(url);
    } catch {
        throw wrong;
    }
}

// Headers take no other, and fetch would show the token in its error.
function soundToken(token) {
    if (token === undefined) return token;
    if (typeof token === 'string' && /^\s*[!-~][ -~]*$/.test(token.trimEnd())) return token.trim();
    throw new TypeError('the token must be printable ASCII characters');
}

function soundRetries(retries) {
    if (retries === Infinity || (Number.isInteger(retries) && retries >= 0)) return retries;
    throw new TypeError(`retries is ${retries}; it must be a whole number, 0 or more`);
}

function unreachable(url, cause) {
    return new LossdError(0, {detail: `${url} was not reached: ${cause.cause?.message || cause.message}`}, {cause});
}

const jsonOf = (answer) => understood(answer, 'JSON', (body) => JSON.parse(new TextDecoder().decode(body)));
const fileOf = (answer) => understood(answer, 'a safetensors file', decode);

// What stands in the way may answer in the server's place, and with anything.
function understood({status, body}, what, read) {
    try {
        return read(body);
    } catch (cause) {
        throw new LossdError(status, {detail: `the answer is not ${what}: ${cause.message}`}, {cause});
    }
}

// The derivatives that an answer has, by the names of what they are derivatives of.
function derivatives(tensors, prefix) {
    return Object.fromEntries(Object.entries(tensors).filter(([name]) => name.startsWith(prefix))
        .map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

function resultOf({tensors, metadata}, headers) {
    return {
        loss: metadata.reduction === 'none' ? tensors.loss : tensors.loss.item(),
        count: Number(metadata.count),
        reduction: metadata.reduction,
        dtype: metadata.dtype,
        grad: derivatives(tensors, 'grad_'),
        hess: derivatives(tensors, 'hess_'),
        nonfinite: Number(metadata.nonfinite ?? 0),
        warnings: metadata.warnings?.split('\n') ?? [],
        ...contextOf(headers),
    };
}

const contextOf = (headers) => ({timing: timingOf(headers.get('server-timing') ?? ''), requestId: headers.get('x-request-id')});

// "decode;dur=0.1, compute;dur=2" as {decode: 0.1, compute: 2}, in milliseconds.
function timingOf(header) {
    return Object.fromEntries([...header.matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, name, duration]) => [name, Number(duration)]));
}
