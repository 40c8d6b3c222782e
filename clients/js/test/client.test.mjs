import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {fileURLToPath} from 'node:url';
import {test} from 'node:test';

import {Client, LossdError, Tensor, decode} from '../index.js';
import {retryAfter} from '../retry.js';

const url = process.env.LOSSD_URL;
assert.ok(
    url,
    'LOSSD_URL must be the address of a server, as in LOSSD_URL=http://127.0.0.1:8080 npm test',
);
const client = new Client(url);
const local = (path) => fileURLToPath(new URL(path, import.meta.url));
const real = async (name) =>
    decode(await readFile(local(`../../../tests/real/${name}.safetensors`))).tensors;

test('losses.js and losses.d.ts are up to date', () => {
    execFileSync(process.execPath, [local('../generate.mjs'), url, '--check'], {stdio: 'inherit'});
});

test('a response contains loss, gradient and metadata', async () => {
    const result = await client.mse({input: [2.5, 0, 2], target: [3, -0.5, 2], grad: true});
    assert.equal(result.loss, 1 / 6);
    assert.deepEqual(result.grad.input.data, new Float32Array([-1 / 3, 1 / 3, 0]));
    const {
        timing: {decode: reading, compute, encode: writing},
        requestId,
        loss,
        grad,
        ...others
    } = result;
    assert.ok(reading >= 0 && compute >= 0 && writing >= 0 && requestId.length > 0);
    assert.deepEqual(others, {
        count: 3,
        reduction: 'mean',
        dtype: 'float32',
        hess: {},
        nonfinite: 0,
        warnings: [],
    });
});

test('terms, upstream gradients, weights, Hessians and warnings', async () => {
    const terms = await client.huber({
        input: [[0.5], [3]],
        target: [[0], [0]],
        delta: 1.5,
        reduction: 'none',
        dtype: 'float64',
        grad: ['input', 'target'],
        grad_output: [[1], [10]],
        hess: true,
    });
    assert.deepEqual(terms.loss.nested(), [[0.125], [3.375]]);
    assert.deepEqual(terms.grad.input.nested(), [[0.5], [15]]);
    assert.deepEqual(terms.grad.target.nested(), [[-0.5], [-15]]);
    assert.deepEqual(terms.hess.input.nested(), [[1], [0]]);
    const weighed = await client.l1({
        input: [1, 2],
        target: [0, 0],
        sample_weight: [1, 3],
        grad: true,
        grad_output: 2,
    });
    assert.equal(weighed.loss, 7 / 4);
    assert.deepEqual(weighed.grad.input.nested(), [0.5, 1.5]);
    const broadcast = await client.mse({input: [[1], [2]], target: [1, NaN]});
    assert.equal(broadcast.nonfinite, 2);
    assert.equal(broadcast.warnings.length, 1);
    assert.match(broadcast.warnings[0], /broadcast/);
});

test('the shape of a target decides between class indices and probabilities', async () => {
    const input = [
        [0.2, 0.8],
        [0.9, 0.1],
    ];
    const indices = await client.cross_entropy({input, target: [1, 0]});
    const probabilities = await client.cross_entropy({
        input,
        target: [
            [0, 1],
            [1, 0],
        ],
    });
    assert.ok(Math.abs(indices.loss - probabilities.loss) < 1e-7);
    for (const Type of [
        BigInt64Array,
        Int32Array,
        Int16Array,
        Int8Array,
        BigUint64Array,
        Uint32Array,
        Uint8Array,
        Uint8ClampedArray,
    ]) {
        const target = Type.from(
            Type === BigInt64Array || Type === BigUint64Array ? [1n, 0n] : [1, 0],
        );
        assert.ok(Math.abs((await client.nll({input, target})).loss + 0.85) < 1e-7, Type.name);
    }
});

test('real batches have known values', async () => {
    const {loss, grad} = await client.cross_entropy({
        ...(await real('digits')),
        dtype: 'float64',
        grad: true,
    });
    assert.ok(Math.abs(loss - 0.24232260580943) < 1e-13);
    assert.deepEqual(grad.input.shape, [899, 10]);
    assert.ok(Math.abs(Math.hypot(...grad.input.data) - 0.0101198859286434) < 1e-15);
    assert.ok(
        Math.abs(
            (await client.loss('BCEWithLogitsLoss', await real('breast_cancer'))).loss -
                0.0979331621478671,
        ) < 1e-7,
    );
});

test('predictions of every precision', async () => {
    const bits = {float16: 0x4200, bfloat16: 0x4040}; // 3
    for (const dtype of ['float16', 'bfloat16']) {
        assert.equal(
            (await client.mse({input: {dtype, data: new Uint16Array([bits[dtype]])}, target: [1]}))
                .loss,
            4,
        );
        assert.equal((await client.mse({input: {dtype, data: [3]}, target: [1]})).loss, 4);
    }
    const double = await client.mse({input: new Float64Array([0.1]), target: [0], grad: true});
    assert.equal(double.dtype, 'float64');
    assert.equal(double.loss, 0.1 * 0.1);
    const plain = await client.mse({input: new Float64Array([0]), target: [0.1]});
    assert.equal(plain.loss, 0.1 * 0.1, 'plain numbers keep their digits next to doubles');
});

test('an invalid request is an error with its position', async () => {
    await assert.rejects(client.cross_entropy({input: [[0.2, 0.8]], target: [2]}), (error) => {
        assert.ok(error instanceof LossdError);
        assert.equal(error.status, 422);
        assert.equal(
            error.message,
            'target[0] is 2; class indices must be in [0, 2), or -100 to be ignored',
        );
        assert.equal(error.detail, error.message);
        assert.equal(error.pointer, '/target/0');
        return true;
    });
    await assert.rejects(client.huber({input: [1], target: [1], delta: -1}), {
        status: 422,
        pointer: '/delta',
        detail: 'delta is -1; it must be greater than 0',
    });
    await assert.rejects(client.mse({input: [1], target: [1], detla: 1}), {
        status: 400,
        pointer: '/detla',
    });
    await assert.rejects(client.mse({input: [1]}), {status: 422, pointer: '/target'});
    await assert.rejects(client.loss('msee', {}), {status: 404, detail: /did you mean 'mse'/});
    await assert.rejects(client.nll({input: [[1]], target: [0.5]}), {
        name: 'TypeError',
        message: /target: element 0 is 0.5/,
    });
});

test('several losses of one batch equal separate evaluations', async () => {
    const batches = [
        {input: [0.5, 2], target: [1, 0]},
        {input: new Float32Array([0.5, NaN]), target: new Float64Array([1, -Infinity])},
        {
            input: {shape: [2, 1], data: new Float64Array([0.1, 0.2])},
            target: {shape: [2, 1], data: [1, 2]},
        },
        {input: {dtype: 'bfloat16', data: new Uint16Array([0x4040])}, target: [Infinity]},
    ];
    for (const batch of batches) {
        const entries = [
            ['mse', {}],
            ['huber', {delta: 0.5, grad: true, hess: true}],
            ['l1', {reduction: 'none', grad: ['input', 'target']}],
        ];
        const results = await client.evaluate({
            ...batch,
            losses: entries.map(([loss, own]) => (loss === 'mse' ? loss : {loss, ...own})),
        });
        for (const [i, [loss, own]] of entries.entries()) {
            const {timing, requestId, ...result} = results[i],
                {
                    timing: other,
                    requestId: another,
                    ...alone
                } = await client.loss(loss, {...batch, ...own});
            assert.deepEqual(result, alone, loss);
            assert.ok(timing.compute >= 0 && requestId);
        }
    }
    const [labels] = await client.evaluate({
        input: [[0.2, 0.8]],
        target: new BigInt64Array([1n]),
        losses: ['cross_entropy'],
    });
    assert.equal(
        labels.loss,
        (await client.cross_entropy({input: [[0.2, 0.8]], target: [1]})).loss,
    );
    const [scalar] = await client.evaluate({
        input: 1,
        target: 3,
        reduction: 'none',
        losses: ['l1'],
    });
    assert.deepEqual(scalar.loss, Tensor.from(2));
    await assert.rejects(
        client.evaluate({input: [1], target: [1], losses: ['mse', {loss: 'huber', delta: -1}]}),
        {status: 422, pointer: '/losses/1/delta'},
    );
});

test('class indices can be BigInts, alone, nested and in typed arrays', async () => {
    const input = [[1, 2]],
        {loss} = await client.cross_entropy({input, target: [1]});
    for (const target of [
        [1n],
        BigInt64Array.of(1n),
        {shape: [1], data: [1n]},
        {dtype: 'int32', data: [1n]},
    ]) {
        assert.equal((await client.cross_entropy({input, target})).loss, loss);
        assert.equal(
            (await client.evaluate({input, target, losses: ['cross_entropy']}))[0].loss,
            loss,
        );
        assert.equal(
            (
                await client.evaluate({
                    input,
                    target,
                    losses: [{loss: 'CrossEntropyLoss', ignore_index: -1n}, 'nll'],
                })
            )[0].loss,
            loss,
        );
        assert.equal(
            (await client.evaluate({input, losses: [{loss: 'cross_entropy', target}]}))[0].loss,
            loss,
        );
    }
    for (const target of [1n, 1]) {
        assert.equal((await client.cross_entropy({input: [1, 2], target})).loss, loss);
        assert.equal(
            (await client.evaluate({input: [1, 2], target, losses: ['cross_entropy']}))[0].loss,
            loss,
        );
    }
    const nested = {
        input: [
            [
                [1, 2],
                [3, 4],
            ],
        ],
        target: [[1n, 0n]],
    };
    assert.equal(
        (await client.evaluate({...nested, losses: ['cross_entropy']}))[0].loss,
        (await client.cross_entropy(nested)).loss,
    );
    const large = 2n ** 53n + 1n;
    await assert.rejects(client.evaluate({input, target: [large], losses: ['nll']}), {
        message: new RegExp(`target\\[0\\] is ${large}`),
    });
    await assert.rejects(client.nll({input, target: [large]}), {
        message: new RegExp(`target\\[0\\] is ${large}`),
    });
});

test('BigInts are accepted as real numbers', async () => {
    const fields = {input: [3n, 1n], target: [1n, 1n], sample_weight: [1n, 3n], grad: true};
    const alone = await client.mse(fields),
        [shared] = await client.evaluate({...fields, losses: ['mse']});
    assert.equal(alone.loss, 1);
    assert.equal(shared.loss, 1);
    assert.deepEqual(shared.grad.input.nested(), [1, 0]);
    assert.equal((await client.huber({input: 3n, target: 0, delta: 1n})).loss, 2.5);
    assert.equal(
        (await client.evaluate({input: 3n, target: 0, losses: [{loss: 'huber', delta: 1n}]}))[0]
            .loss,
        2.5,
    );
});

test('parameters may be infinite or null', async () => {
    const nll = {input: [[-1, -2]], ignore_index: null};
    assert.equal(
        (await client.huber({input: [3, -4], target: [0, 0], delta: Infinity})).loss,
        6.25,
    );
    assert.equal((await client.nll({...nll, target: [1]})).loss, 2);
    await assert.rejects(client.nll({...nll, target: [-100]}), {
        status: 422,
        detail: 'target[0] is -100; class indices must be in [0, 2)',
    });
    const [half, counted] = await client.evaluate({
        input: [3, -4],
        target: [0, 0],
        losses: [
            {loss: 'huber', delta: Infinity},
            {loss: 'nll', ...nll, target: [1]},
        ],
    });
    assert.deepEqual([half.loss, counted.loss], [6.25, 2]);
});

test('empty lists of derivatives request none', async () => {
    const fields = {input: [3], target: [1]};
    for (const asked of [[], false, null, undefined]) {
        const alone = await client.mse({...fields, grad: asked, hess: asked}),
            [shared] = await client.evaluate({
                ...fields,
                grad: asked,
                losses: [{loss: 'mse', hess: asked}],
            });
        for (const {loss, grad, hess} of [alone, shared])
            assert.deepEqual({loss, grad, hess}, {loss: 4, grad: {}, hess: {}});
    }
    const [separate] = await client.evaluate({
        ...fields,
        grad: true,
        sample_weight: [3],
        losses: [{loss: 'mse', grad: null, sample_weight: null}],
    });
    assert.deepEqual({loss: separate.loss, grad: separate.grad}, {loss: 4, grad: {}});
    assert.deepEqual(Object.keys((await client.mse({...fields, grad: 'target'})).grad), ['target']);
    assert.deepEqual(
        Object.keys((await client.evaluate({...fields, grad: 'target', losses: ['mse']}))[0].grad),
        ['target'],
    );
    for (const asked of [{}, [1], new Float32Array(1), () => true]) {
        await assert.rejects(client.evaluate({...fields, grad: asked, losses: ['mse']}), {
            name: 'TypeError',
            message: /^grad is /,
        });
        await assert.rejects(client.mse({...fields, grad: asked}), {
            name: 'TypeError',
            message: /^grad is .*it must be true, false, or an array of tensor names/,
        });
    }
});

test('values that are not numbers are rejected', async () => {
    for (const wrong of [
        [1, undefined],
        [1, null],
        [[1], [undefined]],
        [1, , 2],
    ]) {
        // eslint-disable-line no-sparse-arrays
        await assert.rejects(client.evaluate({input: wrong, target: 0, losses: ['mse']}), {
            name: 'TypeError',
            message: /input\[1\](\[0\])? is (undefined|null); it must be a number/,
        });
        await assert.rejects(client.mse({input: wrong, target: 0}), {
            name: 'TypeError',
            message: /^input: /,
        });
    }
    for (const wrong of [undefined, null, 3, 'mse', [1]]) {
        await assert.rejects(client.mse(wrong), {
            name: 'TypeError',
            message: /^the fields are .*; it must be an object/,
        });
        await assert.rejects(client.evaluate(wrong), {
            name: 'TypeError',
            message: /^the fields are /,
        });
    }
    for (const losses of [undefined, 'mse', {loss: 'mse'}])
        await assert.rejects(client.evaluate({input: 1, target: 1, losses}), {
            name: 'TypeError',
            message: /^losses is /,
        });
    await assert.rejects(client.evaluate({input: 1, target: 1, losses: ['mse', null]}), {
        name: 'TypeError',
        message: /^losses\[1\] is null/,
    });
    await assert.rejects(client.mse({input: [1], target: [1], weigth: new Float32Array(1e6)}), {
        name: 'TypeError',
        message: /^weigth is .*; the tensors are input, target,.* sample_weight, grad_output$/,
    });
});

test('unknown options and options of the wrong type are rejected', async () => {
    assert.throws(() => new Client(url, {tokens: 'a'}), {
        name: 'TypeError',
        message: "no such option 'tokens'; the options are token, retries, fetch",
    });
    for (const retries of [-1, 1.5, NaN, '3', null])
        assert.throws(() => new Client(url, {retries}), {
            message: /^retries is .*; it must be an integer/,
        });
    for (const token of ['tökn', '', ' ', 3, 'line\nbreak'])
        assert.throws(() => new Client(url, {token}), {
            message: 'the token must be printable ASCII characters',
        });
    assert.throws(() => new Client(url, {fetch: 'fetch'}), {
        message: /^fetch is fetch; it must be a function/,
    });
    const fields = {input: [1], target: [1]};
    for (const call of [
        (options) => client.mse(fields, options),
        (options) => client.evaluate({...fields, losses: ['mse']}, options),
        (options) => client.losses(options),
    ]) {
        await assert.rejects(call({singal: AbortSignal.timeout(1)}), {
            name: 'TypeError',
            message: "no such option 'singal'; the options are signal, retries",
        });
        await assert.rejects(call({retries: NaN}), {name: 'TypeError', message: /^retries is NaN/});
        await assert.rejects(call({signal: 1000}), {
            name: 'TypeError',
            message: 'signal is 1000; it must be an AbortSignal',
        });
    }
});

test('a url with a password, query or fragment is rejected without showing the password', () => {
    assert.throws(
        () => new Client('http://me:hunter2@127.0.0.1'),
        (error) => /use a token/.test(error.message) && !error.message.includes('hunter2'),
    );
    for (const wrong of [
        'http://me:hunter2@ho st',
        'http://me:hunter2@host:port',
        'ftp://me:hunter2@host',
        'me:hunter2@host',
        'http://me:hunter2/@host',
    ]) {
        assert.throws(
            () => new Client(wrong),
            (error) => error.name === 'TypeError' && !error.message.includes('hunter2'),
        );
    }
    for (const wrong of [
        'http://host/?q=1',
        'http://host/#a',
        'http://ho st',
        'http://host:port',
        'http://host:99999',
    ]) {
        assert.throws(() => new Client(wrong), {
            name: 'TypeError',
            message: /expected a URL such as http:/,
        });
    }
});

test('losses can be listed and described', async () => {
    const losses = await client.losses();
    const huber = await client.describe('HuberLoss');
    assert.ok(losses.length > 20);
    assert.deepEqual(
        huber.parameters.map(({name}) => name),
        ['delta'],
    );
    for (const {name} of losses) assert.equal(typeof client[name], 'function');
});

// ---- Scripted server ----

// Responds to its first requests with the given functions and forwards the rest to lossd. Records
// all requests.
async function startScripted(t, ...handlers) {
    const requests = [];
    const server = createServer(async (request, response) => {
        const chunks = [];
        for await (const chunk of request) chunks.push(chunk);
        requests.push({request, at: performance.now()});
        const handler = handlers.shift();
        if (handler) return handler(response);
        const {status, headers, body} = await fetch(url + request.url, {
            method: request.method,
            body: chunks.length ? Buffer.concat(chunks) : undefined,
            headers: {
                accept: request.headers.accept,
                'content-type': request.headers['content-type'] ?? 'application/json',
                'accept-encoding': 'identity',
            },
        }).then(async (real) => ({
            status: real.status,
            headers: real.headers,
            body: await real.arrayBuffer(),
        }));
        return response.writeHead(status, Object.fromEntries(headers)).end(Buffer.from(body));
    });
    await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
    t.after(() => {
        server.closeAllConnections();
        server.close();
    });
    return {url: `http://127.0.0.1:${server.address().port}/`, requests};
}

const busy = (status, retry) => (response) =>
    response
        .writeHead(status, {'content-type': 'application/problem+json', ...retry})
        .end(JSON.stringify({title: 'busy', status, detail: 'the queue is full'}));
const fields = {input: [1, 2], target: [1, 4], grad: true};

test('retries follow Retry-After', async (t) => {
    const server = await startScripted(
        t,
        busy(503, {'retry-after': '1'}),
        busy(429, {'retry-after': '0'}),
    );
    assert.equal((await new Client(server.url).mse(fields)).loss, 2);
    assert.equal(server.requests.length, 3);
    assert.ok(server.requests[1].at - server.requests[0].at >= 990);
    assert.ok(server.requests[2].at - server.requests[1].at < 900);
});

test('an overloaded server is an error after the last retry', async (t) => {
    const server = await startScripted(t, ...Array(3).fill(busy(503, {'retry-after': '0'})));
    await assert.rejects(new Client(server.url, {retries: 1}).mse(fields), {
        status: 503,
        detail: 'the queue is full',
    });
    assert.equal(server.requests.length, 2);
    await assert.rejects(new Client(server.url).mse(fields, {retries: 0}), {status: 503});
    assert.equal(server.requests.length, 3);
});

test('broken connections are retried', async (t) => {
    const server = await startScripted(
        t,
        (response) => response.destroy(),
        (response) => {
            response.writeHead(200, {'content-length': 1000}).write('half');
            setTimeout(() => response.destroy(), 20);
        },
    );
    assert.equal((await new Client(server.url).mse(fields)).loss, 2);
    assert.equal(server.requests.length, 3);
});

test('a request that exceeds the compute timeout is not retried', async (t) => {
    const server = await startScripted(
        t,
        busy(503),
        busy(503, {'content-type': 'Application/Problem+JSON; charset=utf-8'}),
    );
    for (let i = 1; i <= 2; i++) {
        await assert.rejects(new Client(server.url).mse(fields), {status: 503});
        assert.equal(server.requests.length, i);
    }
});

test('an overloaded proxy is retried', async (t) => {
    const proxy = (status, type) => (response) =>
        response.writeHead(status, {'content-type': type}).end('{}');
    const server = await startScripted(
        t,
        proxy(502, 'text/html'),
        proxy(503, 'application/json'),
        proxy(503, 'text/html'),
        proxy(504, 'application/problem+json'),
        busy(503, {'retry-after': '0'}),
    );
    assert.equal((await new Client(server.url, {retries: 5}).mse(fields)).loss, 2);
    assert.equal(server.requests.length, 6);
});

test('a wait longer than the maximum of timers does not end immediately', async (t) => {
    const server = await startScripted(t, busy(503, {'retry-after': '9999999999'}));
    await assert.rejects(new Client(server.url).mse(fields, {signal: AbortSignal.timeout(150)}), {
        name: 'TimeoutError',
    });
    assert.equal(server.requests.length, 1);
});

test('other errors are not retried, and need not be JSON', async (t) => {
    const server = await startScripted(
        t,
        (response) =>
            response
                .writeHead(500, {'content-type': 'text/html'})
                .end('<h1>Internal Server Error</h1>'),
        (response) => response.writeHead(200).end('hello'),
    );
    await assert.rejects(new Client(server.url).mse(fields), {
        name: 'LossdError',
        status: 500,
        message: 'the server responded with status 500',
        pointer: null,
    });
    await assert.rejects(new Client(server.url).mse(fields), {
        name: 'LossdError',
        status: 200,
        message: /the response is not a safetensors file: /,
    });
    assert.equal(server.requests.length, 2);
});

test('a signal aborts waiting and requests', async (t) => {
    const server = await startScripted(t, busy(503, {'retry-after': '60'}), () => {});
    for (let i = 0; i < 2; i++) {
        await assert.rejects(
            new Client(server.url).mse(fields, {signal: AbortSignal.timeout(150)}),
            {name: 'TimeoutError'},
        );
    }
    assert.equal(server.requests.length, 2);
    await assert.rejects(
        client.mse(fields, {signal: AbortSignal.abort(new Error('no more'))}),
        /no more/,
    );
});

test('an unreachable server is an error of status 0 with its cause', async () => {
    const closed = createServer();
    await new Promise((listening) => closed.listen(0, '127.0.0.1', listening));
    const {port} = closed.address();
    await new Promise((done) => closed.close(done));
    await assert.rejects(new Client(`http://127.0.0.1:${port}`, {retries: 0}).losses(), (error) => {
        assert.equal(error.status, 0);
        assert.match(error.message, /cannot reach .*ECONNREFUSED/);
        assert.ok(error.cause instanceof Error);
        return true;
    });
});

test('the token is sent with every request, and fetch can be replaced', async (t) => {
    const server = await startScripted(t);
    let calls = 0;
    const own = new Client(server.url, {
        token: 'open sesame',
        fetch: (...request) => {
            calls++;
            return fetch(...request);
        },
    });
    await own.mse(fields);
    await own.losses();
    assert.deepEqual(
        server.requests.map(({request}) => request.headers.authorization),
        ['Bearer open sesame', 'Bearer open sesame'],
    );
    assert.equal(calls, 2);
});

test('LOSSD_URL and LOSSD_TOKEN are defaults; the token is sent only to that server', async (t) => {
    const server = await startScripted(t),
        kept = {...process.env};
    t.after(() => Object.assign(process.env, kept));
    Object.assign(process.env, {LOSSD_URL: `${server.url}/`, LOSSD_TOKEN: 'open sesame'});
    t.after(() => delete process.env.LOSSD_TOKEN);
    await new Client().mse(fields);
    await new Client(server.url).mse(fields);
    assert.deepEqual(
        server.requests.map(({request}) => request.headers.authorization),
        ['Bearer open sesame', undefined],
    );
    for (const wrong of ['127.0.0.1:8080', 'ftp://127.0.0.1', '']) {
        assert.throws(() => new Client(wrong), {
            name: 'TypeError',
            message: /expected a URL such as http:/,
        });
    }
});

test('an unknown loss is described once by the server', async (t) => {
    const describe = (response) =>
        response.writeHead(200, {'content-type': 'application/json'}).end(
            JSON.stringify({
                tensors: [
                    {name: 'scores', kind: 'real', prediction: true},
                    {name: 'labels', kind: 'index'},
                ],
            }),
        );
    const refuse = (response) =>
        response
            .writeHead(404, {'content-type': 'application/problem+json'})
            .end('{"status":404,"detail":"there is none"}');
    const server = await startScripted(t, describe, refuse, refuse);
    const own = new Client(server.url);
    for (let i = 0; i < 2; i++)
        await assert.rejects(own.loss('newer', {scores: [1], labels: [2], steepness: 3}), {
            status: 404,
        });
    assert.deepEqual(
        server.requests.map(({request}) => `${request.method} ${request.url}`),
        [
            'GET /v1/losses/newer',
            'POST /v1/losses/newer?steepness=3',
            'POST /v1/losses/newer?steepness=3',
        ],
    );
});

test('Retry-After can be a date', () => {
    const after = (value) =>
        retryAfter(
            new Headers(value === null ? {} : {'retry-after': value}),
            Date.parse('2026-01-01T00:00:00Z'),
        );
    assert.equal(after('Thu, 01 Jan 2026 00:00:07 GMT'), 7000);
    assert.equal(after('Wed, 31 Dec 2025 23:00:00 GMT'), 0);
    assert.equal(after('120'), 120000);
    assert.equal(after('soon'), null);
    assert.equal(after(null), null);
});
