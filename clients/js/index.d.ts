import type {Losses} from './losses.js';

export type {LossName, Losses} from './losses.js';

export type Dtype = 'float64' | 'float32' | 'float16' | 'bfloat16' | 'int64' | 'int32' | 'int16' | 'int8' |
    'uint64' | 'uint32' | 'uint16' | 'uint8' | 'bool';

/** Float16Array is one too where there is such a thing. */
export type TypedArray = Float64Array | Float32Array | BigInt64Array | Int32Array | Int16Array | Int8Array | BigUint64Array | Uint32Array |
    Uint16Array | Uint8Array | Uint8ClampedArray;

export type Nested = number | boolean | readonly Nested[];
/** Numbers of any shape. A typed array alone has one dimension. */
export type Numbers = Nested | TypedArray | Tensor | TensorParts;
export type NestedBigInt = bigint | readonly NestedBigInt[];
/** The same, for whole numbers. */
export type Indices = Numbers | NestedBigInt;

export interface TensorParts {
    shape?: readonly number[];
    /** What the data hold; needed where a typed array does not tell: a Uint16Array of the bits of halves, a Uint8Array of booleans. */
    dtype?: Dtype;
    data: Nested | TypedArray | readonly bigint[];
}

/** Numbers in a typed array, row-major, and their shape. */
export declare class Tensor {
    constructor(shape: readonly number[], data: TypedArray, dtype?: Dtype);
    /** A tensor of whatever the methods of Client take. Plain numbers become of dtype `plain`, by default float32. */
    static from(value: Numbers | Indices, plain?: Dtype, name?: string): Tensor;
    readonly shape: number[];
    readonly dtype: Dtype;
    readonly data: TypedArray;
    /** How many numbers there are. */
    get size(): number;
    /** The number of a tensor that holds one. */
    item(): number;
    /** Every number, flat: the data themselves unless they are BigInts or bits of halves. */
    numbers(): Float64Array | Float32Array | Int32Array | Int16Array | Int8Array | Uint32Array | Uint16Array | Uint8Array;
    /** Nested arrays, or a number where the shape is (). */
    nested(): any;
    toJSON(): any;
}

/** Fields that every loss takes. */
export interface Common<R, G, H> {
    /** How terms become one number; by default their mean. */
    reduction?: R;
    /** Which gradients are wanted: `true` for those of the predictions, or names of tensors. */
    grad?: G;
    /** Which diagonals of the Hessian are wanted. */
    hess?: H;
    /** The upstream gradient: a number, or with reduction 'none' a tensor of the loss's shape. */
    grad_output?: Numbers;
    /** Multiplies the terms. */
    sample_weight?: Numbers;
    /** What is computed in; by default float64 where a prediction is, else float32. */
    dtype?: 'float32' | 'float64';
}

/** The names of the derivatives that were asked for with `W`, of a loss that makes predictions `P`. */
export type Wanted<W, P extends string> = W extends true ? P : W extends readonly (infer K extends string)[] ? K : never;

/** What an evaluation gives, of reduction `R`, with gradients of `G` and Hessian diagonals of `H`. */
export interface Result<R, G extends string, H extends string> {
    loss: R extends 'none' ? Tensor : number;
    /** How many terms there are; ignored ones are not counted. */
    count: number;
    reduction: R;
    dtype: 'float32' | 'float64';
    grad: {[tensor in G]: Tensor};
    hess: {[tensor in H]: Tensor};
    /** How many terms are NaN or infinite. */
    nonfinite: number;
    /** What PyTorch would warn of. */
    warnings: string[];
    /** What the server spent its time on, in milliseconds. */
    timing: Partial<Record<'decode' | 'compute' | 'encode', number>>;
    requestId: string | null;
}

export interface ClientOptions {
    /** Sent as `Authorization: Bearer`; where no url is given either, by default the environment's LOSSD_TOKEN. */
    token?: string;
    /** How often to try again where the server is busy (429, 502, 503, 504; Retry-After is honoured) or was not reached; by default 2. */
    retries?: number;
    fetch?: typeof fetch;
}

export interface CallOptions {
    signal?: AbortSignal;
    /** In place of the client's. */
    retries?: number;
}

/** What the server says of a loss: docs/API.md of lossd. */
export interface Description {
    name: string;
    aliases: string[];
    title: string;
    doc: string;
    formula: string;
    tensors: {
        name: string; doc: string; shape: string; kind: 'real' | 'index' | 'index or probability'; dtypes: Dtype[];
        optional: boolean; prediction: boolean; differentiable: boolean;
    }[];
    parameters: {
        name: string; doc: string; type: 'number' | 'integer' | 'boolean' | 'choice'; default: number | boolean | string; choices?: string[];
        minimum?: number; exclusiveMinimum?: number; maximum?: number; exclusiveMaximum?: number;
    }[];
    reductions: ('mean' | 'sum' | 'none' | 'batchmean')[];
    hessian: boolean;
    path: string;
}

/** What `evaluate` takes: the tensors, the losses, and what else holds for all of them. */
export interface Evaluation {
    losses: readonly (string | {loss: string, [field: string]: unknown})[];
    [field: string]: unknown;
}

export interface Client extends Losses {}
export declare class Client {
    /** `url` is by default the environment's LOSSD_URL, or http://127.0.0.1:8080. */
    constructor(url?: string | URL, options?: ClientOptions);
    /** Evaluates the loss of that name or alias, known to this version or not. */
    loss(name: string, fields: Record<string, unknown>, options?: CallOptions): Promise<Result<any, any, any>>;
    /** Evaluates several losses over the same tensors, which are sent once. Fields outside `losses` hold for all that have them. */
    evaluate(fields: Evaluation, options?: CallOptions): Promise<Result<any, any, any>[]>;
    /** What the server says of every loss. */
    losses(options?: CallOptions): Promise<Description[]>;
    /** What the server says of one. */
    describe(name: string, options?: CallOptions): Promise<Description>;
}

/** What the server refuses, and what keeps it from answering. */
export declare class LossdError extends Error {
    constructor(status: number, problem: {title?: string; detail?: string; pointer?: string; offset?: number},
        context?: {requestId?: string | null; cause?: unknown});
    /** Of the answer; 0 where there was none. */
    readonly status: number;
    readonly title: string;
    readonly detail: string;
    /** A JSON Pointer to what is wrong: '/target/3'. */
    readonly pointer: string | null;
    readonly offset: number | null;
    readonly requestId: string | null;
}

/** The bytes of a safetensors file. */
export declare function encode(tensors: Record<string, Tensor>, metadata?: Record<string, string>): Uint8Array;
/** The tensors and the metadata of a safetensors file; throws a RangeError that says what is wrong with one that is none. */
export declare function decode(file: ArrayBuffer | Uint8Array): {tensors: Record<string, Tensor>; metadata: Record<string, string>};
