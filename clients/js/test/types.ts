// Compiled, never run: code that TypeScript must accept or reject.
import {Client, LossdError, Tensor, decode, encode, merge} from 'lossd';
import type {LossName} from 'lossd';

const client = new Client('http://127.0.0.1:8080', {token: 'secret', retries: 3, fetch});
const input = new Float32Array(3),
    target = [1, 2, 3];

const mean = await client.mse({input, target, grad: true});
const loss: number = mean.loss;
const gradient: Tensor = mean.grad.input;
// @ts-expect-error: the gradient of the target was not requested
mean.grad.target;

const terms = await client.huber({
    input,
    target,
    delta: 0.5,
    reduction: 'none',
    grad: ['input', 'target'],
    hess: true,
});
const each: Tensor = terms.loss;
const both: Tensor[] = [terms.grad.input, terms.grad.target, terms.hess.input];

const labels = await client.cross_entropy({
    input: [[0.1, 0.9]],
    target: new BigInt64Array([1n]),
    label_smoothing: 0.1,
    sample_weight: [2],
});
await client.cross_entropy({input: [[0.1, 0.9]], target: [1n]});
await client.multilabel_margin({input: [[[0.1]]], target: [[[0n]]], grad: []});
await client.ctc({log_probs: [[[0]]], targets: [[1n]], input_lengths: 1n, target_lengths: 1});
await client.evaluate({input: [[0.1, 0.9]], target: [1n], losses: ['nll'], grad: []});
// @ts-expect-error: there is no such option
new Client('http://127.0.0.1:8080', {tokens: 'secret'});
// @ts-expect-error: there is no such option
client.mse({input, target}, {singal: AbortSignal.timeout(1)});
const shaped = await client.nll(
    {input: {shape: [1, 2], data: new Float64Array(2)}, target: [0]},
    {signal: AbortSignal.timeout(1000), retries: 0},
);
const chosen = await client.triplet_margin({
    anchor: [1, 2],
    positive: [1, 3],
    negative: [4, 5],
    distance: 'cosine',
    swap: true,
});
const divergence = await client.kl_div({input, target, reduction: 'batchmean'});

// @ts-expect-error: there is no such argument
client.cross_entropy({input: [[0.1, 0.9]], target: [1], lable_smoothing: 0.1});
// @ts-expect-error: target is missing
client.mse({input});
// @ts-expect-error: there is no such reduction
client.mse({input, target, reduction: 'batchmean'});
// @ts-expect-error: it has no Hessian
client.nll({input, target, hess: true});
// @ts-expect-error: it must be a string
client.triplet_margin({anchor: [1], positive: [1], negative: [1], distance: 2});
// @ts-expect-error: there is no such loss
const name: LossName = 'mean_squared_error';

const {tensors, metadata} = decode(
    encode(
        {input: Tensor.from([[1, 2]]), weight: new Tensor([1], new Uint16Array(1), 'bfloat16')},
        {split: 'test'},
    ),
);
const shape: number[] = tensors.input.shape,
    split: string = metadata.split;
const problem: {status: number; pointer: string | null} = new LossdError(422, {detail: 'no'});
const formulas: string[] = (await client.losses()).map(({formula}) => formula);
const own = await client.loss('a_newer_one', {input, steepness: 3});

const several: number[] = (
    await client.evaluate({input, target, losses: ['mse', {loss: 'huber', delta: 0.5}]})
).map(({count}) => count);
// @ts-expect-error: an entry needs the name of its loss
client.evaluate({input, target, losses: [{delta: 0.5}]});

export {
    both,
    chosen,
    divergence,
    each,
    formulas,
    gradient,
    labels,
    loss,
    own,
    problem,
    several,
    shape,
    shaped,
    split,
};

const part = await client.mse({input: [1], target: [0], partial: true, offset: 0});
const merged: number = merge([part, JSON.stringify(part.partial)]).loss;
// @ts-expect-error a number is not a partial result
merge([merged]);
