// The client: evaluates losses and gradients on a server.

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
    #known = new Map(); // descriptions of losses that the table of this version does not contain

    /**
     * @param {string|URL} [url] of the server; default: the environment variable LOSSD_URL, or
     *     'http://127.0.0.1:8080'
     * @param {{token?: string, retries?: number, fetch?: typeof fetch}} [options] a bearer token,
     *     by default LOSSD_TOKEN if no url is given; the number of retries if the server is
     *     overloaded or unreachable; a replacement for fetch
     */
    constructor(url, options = {}) {
        checkOptions(options, ['token', 'retries', 'fetch']);
        const {token, retries = 2, fetch = globalThis.fetch} = options;
        // LOSSD_TOKEN is sent only to LOSSD_URL or the default url.
        const environment = (url === undefined && globalThis.process?.env) || {};
        this.#url = checkedUrl(url ?? (environment.LOSSD_URL || 'http://127.0.0.1:8080'));
        this.#token = checkedToken(token ?? (environment.LOSSD_TOKEN || undefined));
        this.#retries = checkedRetries(retries);
        if (typeof fetch !== 'function')
            throw new TypeError(`fetch is ${fetch}; it must be a function`);
        this.#fetch = (...request) => fetch(...request); // browsers require a call without `this`
    }

    /**
     * Evaluates a loss by name or alias. Each loss of this version also has a method: mse(fields).
     */
    async loss(name, fields, options) {
        checkFields(fields);
        const description = await this.#find(name, options);
        const {tensors, query} = split(description, fields);
        const response = await this.#send(
            'POST',
            `/v1/losses/${encodeURIComponent(name)}?${query}`.replace(/\?$/, ''),
            options,
            {body: encode(tensors), type: safetensors, accept: safetensors},
        );
        return resultOf(fileOf(response), response.headers);
    }

    /**
     * Evaluates several losses over the same tensors, which are sent once. `fields.losses` contains
     * names, or objects with a name `loss` and fields. Returns one result per loss, in this order.
     */
    async evaluate(fields, options) {
        const response = await this.#send('POST', '/v1/evaluate', options, {
            body: bodyOf(fields),
            type: json,
        });
        return jsonOf(response).results.map((result) => ({
            ...resultOfJson(result),
            ...contextOf(response.headers),
        }));
    }

    /** Returns the descriptions of all losses. */
    async losses(options) {
        return jsonOf(await this.#send('GET', '/v1/losses', options)).losses;
    }

    /** Returns the description of a loss. */
    async describe(name, options) {
        return jsonOf(await this.#send('GET', `/v1/losses/${encodeURIComponent(name)}`, options));
    }

    async #find(name, options) {
        const known = lossOf(name);
        if (known) return known;
        if (!this.#known.has(name)) {
            const {tensors} = await this.describe(name, options);
            this.#known.set(name, {
                tensors: Object.fromEntries(tensors.map((tensor) => [tensor.name, tensor])),
            });
        }
        return this.#known.get(name);
    }

    // Sends a request, with retries, and returns the response; throws if it is an error.
    async #send(method, path, options = {}, {body, type, accept = json} = {}) {
        checkOptions(options, ['signal', 'retries']);
        const {signal} = options,
            retries = checkedRetries(options.retries ?? this.#retries);
        if (signal && typeof signal.addEventListener !== 'function')
            throw new TypeError(`signal is ${signal}; it must be an AbortSignal`);
        const headers = {Accept: accept};
        if (type) headers['Content-Type'] = type;
        if (this.#token !== undefined) headers.Authorization = `Bearer ${this.#token}`;
        const request = {method, headers, body, signal};
        const send = async () => {
            const response = await this.#fetch(this.#url + path, request);
            return {
                status: response.status,
                headers: response.headers,
                body: await response.arrayBuffer(),
            };
        };
        let response;
        try {
            response = await retrying(send, retries, signal);
        } catch (error) {
            if (signal?.aborted) throw signal.reason;
            throw unreachable(this.#url, error);
        }
        if (response.status !== 200) throw LossdError.of(response);
        return response;
    }
}

for (const name of Object.keys(losses)) {
    Object.defineProperty(Client.prototype, name, {
        value(fields, options) {
            return this.loss(name, fields, options);
        },
        writable: true,
        configurable: true,
    });
}

function checkOptions(options, known) {
    if (typeof options !== 'object' || options === null)
        throw new TypeError(`the options are ${options}; they must be an object`);
    const unknown = Object.keys(options).find((name) => !known.includes(name));
    if (unknown !== undefined)
        throw new TypeError(`no such option '${unknown}'; the options are ${known.join(', ')}`);
}

function checkedUrl(url) {
    // The message must not contain a password.
    const shown = String(url).includes('@') ? 'the url is invalid' : `the url is '${url}'`;
    const wrong = new TypeError(`${shown}; expected a URL such as http://127.0.0.1:8080`);
    if (!/^https?:\/\/[^/\s]\S*$/i.test(url)) throw wrong;
    const {username, password, search, hash} = parsed(url, wrong);
    if (username || password)
        throw new TypeError(
            'the url contains a user or a password, which lossd does not support; use a token',
        );
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

// Header values must be ASCII, and the error of fetch would contain the token.
function checkedToken(token) {
    if (token === undefined) return token;
    if (typeof token === 'string' && /^\s*[!-~][ -~]*$/.test(token.trimEnd())) return token.trim();
    throw new TypeError('the token must be printable ASCII characters');
}

function checkedRetries(retries) {
    if (retries === Infinity || (Number.isInteger(retries) && retries >= 0)) return retries;
    throw new TypeError(`retries is ${retries}; it must be an integer of at least 0, or Infinity`);
}

function unreachable(url, cause) {
    return new LossdError(
        0,
        {detail: `cannot reach ${url}: ${cause.cause?.message || cause.message}`},
        {cause},
    );
}

const jsonOf = (response) =>
    parsedBody(response, 'JSON', (body) => JSON.parse(new TextDecoder().decode(body)));
const fileOf = (response) => parsedBody(response, 'a safetensors file', decode);

// A proxy may respond instead of the server, with any body.
function parsedBody({status, body}, what, read) {
    try {
        return read(body);
    } catch (cause) {
        throw new LossdError(
            status,
            {detail: `the response is not ${what}: ${cause.message}`},
            {cause},
        );
    }
}

// Selects the tensors of a response with this prefix, and removes it from their names.
function derivatives(tensors, prefix) {
    return Object.fromEntries(
        Object.entries(tensors)
            .filter(([name]) => name.startsWith(prefix))
            .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
    );
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
        ...(metadata.partial ? {partial: JSON.parse(metadata.partial)} : {}),
        ...contextOf(headers),
    };
}

const contextOf = (headers) => ({
    timing: timingOf(headers.get('server-timing') ?? ''),
    requestId: headers.get('x-request-id'),
});

// Parses "decode;dur=0.1, compute;dur=2" to {decode: 0.1, compute: 2}, in milliseconds.
function timingOf(header) {
    return Object.fromEntries(
        [...header.matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, name, duration]) => [
            name,
            Number(duration),
        ]),
    );
}
