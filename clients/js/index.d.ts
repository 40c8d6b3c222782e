import type {Losses} from './losses.js';

export type {LossName, Losses} from './losses.js';

export type Dtype =
    | 'float64'
    | 'float32'
    | 'float16'
    | 'bfloat16'
    | 'int64'
    | 'int32'
    | 'int16'
    | 'int8'
    | 'uint64'
    | 'uint32'
    | 'uint16'
    | 'uint8'
    | 'bool';

/** Also Float16Array, if the platform has it. */
export type TypedArray =
    | Float64Array
    | Float32Array
    | BigInt64Array
    | Int32Array
    | Int16Array
    | Int8Array
    | BigUint64Array
    | Uint32Array
    | Uint16Array
    | Uint8Array
    | Uint8ClampedArray;

export type Nested = number | boolean | readonly Nested[];
/** Numbers of any shape. A bare typed array has one dimension. */
export type Numbers = Nested | TypedArray | Tensor | TensorParts;
export type NestedBigInt = bigint | readonly NestedBigInt[];
/** Integers of any shape. */
export type Indices = Numbers | NestedBigInt;

export interface TensorParts {
    shape?: readonly number[];
    /**
     * Required if a typed array is ambiguous: a Uint16Array of float16 bits, a Uint8Array of
     * booleans.
     */
    dtype?: Dtype;
    data: Nested | TypedArray | readonly bigint[];
}

/** A typed array in row-major order, and a shape. */
export declare class Tensor {
    constructor(shape: readonly number[], data: TypedArray, dtype?: Dtype);
    /**
     * Makes a tensor from any value that the methods of Client accept. Plain numbers get the dtype
     * `plain`, by default float32. `name` is used in messages.
     */
    static from(value: Numbers | Indices, plain?: Dtype, name?: string): Tensor;
    readonly shape: number[];
    readonly dtype: Dtype;
    readonly data: TypedArray;
    /** The number of elements. */
    get size(): number;
    /** Returns the only element, as a number. Throws a TypeError unless there is exactly one. */
    item(): number;
    /**
     * Returns all elements as a flat array of numbers: `data` itself unless it contains bits or
     * BigInts.
     */
    numbers():
        | Float64Array
        | Float32Array
        | Int32Array
        | Int16Array
        | Int8Array
        | Uint32Array
        | Uint16Array
        | Uint8Array;
    /** Returns nested arrays, or a number if the shape is (). */
    nested(): any;
    toJSON(): any;
}

/** Fields that every loss accepts. */
export interface Common<R, G, H> {
    /** How the terms are reduced; default: mean. */
    reduction?: R;
    /** The gradients to compute: `true` for those of the predictions, or names of tensors. */
    grad?: G;
    /** The diagonals of the Hessian to compute, like `grad`. */
    hess?: H;
    /**
     * The upstream gradient: a number, or with reduction 'none' a tensor of the shape of the loss.
     */
    grad_output?: Numbers;
    /** Weights that multiply the terms: one per term, or per index of their first dimension. */
    sample_weight?: Numbers;
    /**
     * The dtype of the computation; default: float64 if a prediction is float64, otherwise float32.
     */
    dtype?: 'float32' | 'float64';
    /** The tensors are a part of a batch: the result has a `partial` for {@link merge}. */
    partial?: boolean;
    /** With `partial`: the row of the whole batch at which the part begins. */
    offset?: number;
    /** What a mean divides by, instead of what the tensors determine: that of the whole batch. */
    divisor?: number;
}

/** The exact result of a part of a batch, as the server writes it. */
export interface PartialResult {
    format: 'lossd-partial-1';
    loss: string;
    reduction: 'mean' | 'sum' | 'batchmean';
    dtype: 'float32' | 'float64';
    parameters: Record<string, unknown>;
    tensors: Record<string, (string | number)[]>;
    whole: Record<string, string>;
    weighed: boolean;
    sum: string;
    weight: string;
    terms: number;
    samples: number;
    count: number;
    nan: number;
    inf: number;
    neginf: number;
    rows: [number, number][];
    warnings: string[];
}

/** The result of {@link merge}. */
export interface Merged {
    loss: number;
    count: number;
    reduction: 'mean' | 'sum' | 'batchmean';
    dtype: 'float32' | 'float64';
    nonfinite: number;
    warnings: string[];
    /** Can be merged with others. */
    partial: PartialResult;
    /**
     * What the reduction divides by: send it as `divisor` to compute the gradients of a part.
     * Absent if the reduction is 'sum'.
     */
    divisor?: number;
}

/**
 * Merges partial results of parts of one batch, in any order, without a server. The loss has the
 * same bits as if the whole batch were evaluated at once.
 *
 * @param partials results of calls with `partial: true`, or their `partial`, as objects or as JSON
 * @throws RangeError if a partial result is invalid, if they are not of one batch, or if two
 *     contain the same rows
 */
export function merge(
    partials: Iterable<PartialResult | {partial?: PartialResult} | string>,
): Merged;

/** The names of the derivatives that `W` requests from a loss with predictions `P`. */
export type Wanted<W, P extends string> = W extends true
    ? P
    : W extends readonly (infer K extends string)[]
      ? K
      : never;

/** The result of an evaluation with reduction `R`, gradients `G` and Hessian diagonals `H`. */
export interface Result<R, G extends string, H extends string> {
    loss: R extends 'none' ? Tensor : number;
    /** The number of terms, without ignored ones. */
    count: number;
    reduction: R;
    dtype: 'float32' | 'float64';
    grad: {[tensor in G]: Tensor};
    hess: {[tensor in H]: Tensor};
    /** The number of terms that are NaN or infinite. */
    nonfinite: number;
    /** Warnings that PyTorch would give. */
    warnings: string[];
    /** The exact result of a part of a batch; present only if requested. */
    partial?: PartialResult;
    /** Times on the server, in milliseconds. */
    timing: Partial<Record<'decode' | 'compute' | 'encode', number>>;
    requestId: string | null;
}

export interface ClientOptions {
    /** Bearer token; default if no url is given: the environment variable LOSSD_TOKEN. */
    token?: string;
    /**
     * Number of retries if the server is overloaded (429, 502, 503, 504; honors Retry-After) or
     * unreachable; default: 2.
     */
    retries?: number;
    /** Replaces the global fetch. */
    fetch?: typeof fetch;
}

export interface CallOptions {
    /** Cancels the call, and its request on the server. */
    signal?: AbortSignal;
    /** Overrides the client's option. */
    retries?: number;
}

/** The description of a loss: see docs/API.md of lossd. */
export interface Description {
    name: string;
    aliases: string[];
    title: string;
    doc: string;
    formula: string;
    tensors: {
        name: string;
        doc: string;
        shape: string;
        kind: 'real' | 'index' | 'index or probability';
        dtypes: Dtype[];
        optional: boolean;
        prediction: boolean;
        differentiable: boolean;
    }[];
    parameters: {
        name: string;
        doc: string;
        type: 'number' | 'integer' | 'boolean' | 'choice';
        default: number | boolean | string;
        choices?: string[];
        minimum?: number;
        exclusiveMinimum?: number;
        maximum?: number;
        exclusiveMaximum?: number;
    }[];
    reductions: ('mean' | 'sum' | 'none' | 'batchmean')[];
    hessian: boolean;
    path: string;
}

/** The fields of `evaluate`: tensors, losses, and other shared fields. */
export interface Evaluation {
    losses: readonly (string | {loss: string; [field: string]: unknown})[];
    [field: string]: unknown;
}

export interface Client extends Losses {}
export declare class Client {
    /** `url` defaults to the environment variable LOSSD_URL, or http://127.0.0.1:8080. */
    constructor(url?: string | URL, options?: ClientOptions);
    /** Evaluates a loss by name or alias, even if this version does not know it. */
    loss(
        name: string,
        fields: Record<string, unknown>,
        options?: CallOptions,
    ): Promise<Result<any, any, any>>;
    /**
     * Evaluates several losses over the same tensors, which are sent once. Fields outside `losses`
     * apply to all losses that have them. Returns one result per loss, in the order of `losses`.
     */
    evaluate(fields: Evaluation, options?: CallOptions): Promise<Result<any, any, any>[]>;
    /** Returns the descriptions of all losses. */
    losses(options?: CallOptions): Promise<Description[]>;
    /** Returns the description of a loss. */
    describe(name: string, options?: CallOptions): Promise<Description>;
}

/** An error that the server returned, or a failure to reach it. */
export declare class LossdError extends Error {
    constructor(
        status: number,
        problem: {title?: string; detail?: string; pointer?: string; offset?: number},
        context?: {requestId?: string | null; cause?: unknown},
    );
    /** The status of the response; 0 if there was none. */
    readonly status: number;
    readonly title: string;
    readonly detail: string;
    /** A JSON Pointer to the invalid value, such as '/target/3'; null if there is none. */
    readonly pointer: string | null;
    /** The offset of the error in the request body, in bytes; null if it is unknown. */
    readonly offset: number | null;
    /** The identifier of the request in the server's log; null if there was no response. */
    readonly requestId: string | null;
}

/** Encodes a safetensors file. */
export declare function encode(
    tensors: Record<string, Tensor>,
    metadata?: Record<string, string>,
): Uint8Array;
/** Decodes a safetensors file. Throws a RangeError if it is invalid. */
export declare function decode(file: ArrayBuffer | Uint8Array): {
    tensors: Record<string, Tensor>;
    metadata: Record<string, string>;
};
