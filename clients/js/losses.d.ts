// Made by generate.mjs from GET /v1/losses of lossd: 26 losses. Not to be edited.

import type {CallOptions, Common, Indices, Numbers, Result, Wanted} from './index.js';

/** What {@link Losses.mse} takes. */
export interface Mse<R, G, H> extends Common<R, G, H> {
    /** predictions: (*) */
    input: Numbers;
    /** what they should be: (*), broadcast against input */
    target: Numbers;
    /** multiplies each term; mean divides by the sum of the weights: broadcast to input */
    weight?: Numbers;
}

/** What {@link Losses.l1} takes. */
export interface L1<R, G, H> extends Common<R, G, H> {
    /** predictions: (*) */
    input: Numbers;
    /** what they should be: (*), broadcast against input */
    target: Numbers;
    /** multiplies each term; mean divides by the sum of the weights: broadcast to input */
    weight?: Numbers;
}

/** What {@link Losses.smooth_l1} takes. */
export interface SmoothL1<R, G, H> extends Common<R, G, H> {
    /** predictions: (*) */
    input: Numbers;
    /** what they should be: (*), broadcast against input */
    target: Numbers;
    /** where the parabola meets the lines, at least 0; by default 1 */
    beta?: number;
}

/** What {@link Losses.huber} takes. */
export interface Huber<R, G, H> extends Common<R, G, H> {
    /** predictions: (*) */
    input: Numbers;
    /** what they should be: (*), broadcast against input */
    target: Numbers;
    /** multiplies each term; mean does not divide by it: broadcast to input */
    weight?: Numbers;
    /** where the parabola meets the lines; infinite: nowhere, half of mse, above 0, or Infinity; by default 1 */
    delta?: number;
}

/** What {@link Losses.bce} takes. */
export interface Bce<R, G, H> extends Common<R, G, H> {
    /** predicted probabilities, in [0, 1]: (*) */
    input: Numbers;
    /** what they should be, usually 0 or 1: (*), that of input */
    target: Numbers;
    /** multiplies each term: broadcast to input */
    weight?: Numbers;
}

/** What {@link Losses.bce_with_logits} takes. */
export interface BceWithLogits<R, G, H> extends Common<R, G, H> {
    /** logits: (*) */
    input: Numbers;
    /** what they should be, usually 0 or 1: (*), that of input */
    target: Numbers;
    /** multiplies each term: broadcast to input */
    weight?: Numbers;
    /** weight of positive targets, usually one per class: broadcast to input */
    pos_weight?: Numbers;
}

/** What {@link Losses.cross_entropy} takes. */
export interface CrossEntropy<R, G, H> extends Common<R, G, H> {
    /** logits: (C), (N, C) or (N, C, d1, ...) */
    input: Numbers;
    /** class indices, or class probabilities: (), (N) or (N, d1, ...) for indices; the input's shape for probabilities */
    target: Numbers | Indices;
    /** a weight for each class: (C) */
    weight?: Numbers;
    /** a class index that does not count; null: all count, or null; by default -100 */
    ignore_index?: number | null;
    /** share of the target that is spread over all classes, at least 0, at most 1; by default 0 */
    label_smoothing?: number;
}

/** What {@link Losses.nll} takes. */
export interface Nll<R, G, H> extends Common<R, G, H> {
    /** log-probabilities: (C), (N, C) or (N, C, d1, ...) */
    input: Numbers;
    /** class indices: (), (N) or (N, d1, ...) */
    target: Indices;
    /** a weight for each class: (C) */
    weight?: Numbers;
    /** a target that does not count; null: all count, or null; by default -100 */
    ignore_index?: number | null;
}

/** What {@link Losses.kl_div} takes. */
export interface KlDiv<R, G, H> extends Common<R, G, H> {
    /** predicted log-probabilities: (*) */
    input: Numbers;
    /** true probabilities (log-probabilities with log_target): (*), broadcast against input */
    target: Numbers;
    /** the target holds log-probabilities; by default false */
    log_target?: boolean;
}

/** What {@link Losses.hinge_embedding} takes. */
export interface HingeEmbedding<R, G, H> extends Common<R, G, H> {
    /** distances: (*) */
    input: Numbers;
    /** labels, 1 or -1: (*), broadcast against input */
    target: Numbers;
    /** distance that dissimilar pairs should keep; by default 1 */
    margin?: number;
}

/** What {@link Losses.cosine_embedding} takes. */
export interface CosineEmbedding<R, G, H> extends Common<R, G, H> {
    /** vectors: (N, D) or (D) */
    input1: Numbers;
    /** the vectors they are paired with: (N, D) or (D) */
    input2: Numbers;
    /** labels, 1 or -1: (N) or () */
    target: Numbers;
    /** cosine that dissimilar pairs may keep, best in [0, 0.5]; by default 0 */
    margin?: number;
}

/** What {@link Losses.poisson_nll} takes. */
export interface PoissonNll<R, G, H> extends Common<R, G, H> {
    /** predicted means, or their logarithms: (*) */
    input: Numbers;
    /** counts: (*), broadcast against input */
    target: Numbers;
    /** the input holds logarithms of the means; by default true */
    log_input?: boolean;
    /** add Stirling's approximation of log y!; by default false */
    full?: boolean;
    /** keeps log(x + eps) finite, without log_input; by default 1e-8 */
    eps?: number;
}

/** What {@link Losses.gaussian_nll} takes. */
export interface GaussianNll<R, G, H> extends Common<R, G, H> {
    /** predicted means: (*) */
    input: Numbers;
    /** what they should be: (*), broadcast against input */
    target: Numbers;
    /** predicted variances: broadcast to input, or that of input without its last dimension */
    var: Numbers;
    /** add the constant log(2 pi)/2; by default false */
    full?: boolean;
    /** variances below this count as this, above 0; by default 0.000001 */
    eps?: number;
}

/** What {@link Losses.margin_ranking} takes. */
export interface MarginRanking<R, G, H> extends Common<R, G, H> {
    /** scores: (*) */
    input1: Numbers;
    /** scores to compare them with: (*), broadcast against input1 */
    input2: Numbers;
    /** which should be higher, 1 or -1: (*), broadcast against input1 */
    target: Numbers;
    /** by how much; by default 0 */
    margin?: number;
}

/** What {@link Losses.soft_margin} takes. */
export interface SoftMargin<R, G, H> extends Common<R, G, H> {
    /** scores: (*) */
    input: Numbers;
    /** labels, 1 or -1: (*), broadcast against input */
    target: Numbers;
}

/** What {@link Losses.multi_margin} takes. */
export interface MultiMargin<R, G, H> extends Common<R, G, H> {
    /** scores: (C) or (N, C) */
    input: Numbers;
    /** class indices: () or (N) */
    target: Indices;
    /** a weight for each class: (C) */
    weight?: Numbers;
    /** power of the lack, 1 or 2, at least 1, at most 2; by default 1 */
    p?: number;
    /** by how much the right class should lead; by default 1 */
    margin?: number;
}

/** What {@link Losses.multilabel_margin} takes. */
export interface MultilabelMargin<R, G, H> extends Common<R, G, H> {
    /** scores: (C) or (N, C) */
    input: Numbers;
    /** the right classes' indices, ended by -1: (C) or (N, C) */
    target: Indices;
}

/** What {@link Losses.multilabel_soft_margin} takes. */
export interface MultilabelSoftMargin<R, G, H> extends Common<R, G, H> {
    /** logits: (C), (N, C) or (..., C) */
    input: Numbers;
    /** what they should be, 0 or 1: that of input */
    target: Numbers;
    /** a weight for each class: (C), or broadcast to input with C last */
    weight?: Numbers;
}

/** What {@link Losses.triplet_margin} takes. */
export interface TripletMargin<R, G, H> extends Common<R, G, H> {
    /** vectors: (N, D) or (D) */
    anchor: Numbers;
    /** vectors that should be near: that of anchor */
    positive: Numbers;
    /** vectors that should be far: that of anchor */
    negative: Numbers;
    /** by how much nearer, above 0; by default 1 */
    margin?: number;
    /** which norm; infinite: the largest difference, above 0, or Infinity; by default 2 */
    p?: number;
    /** added to each difference; by default 0.000001 */
    eps?: number;
    /** take the negative's distance from the positive where that is less; by default false */
    swap?: boolean;
    /** euclidean and pairwise are the p-norm, cosine is 1 - cosine similarity; by default euclidean */
    distance?: 'euclidean' | 'pairwise' | 'cosine';
}

/** What {@link Losses.ctc} takes. */
export interface Ctc<R, G, H> extends Common<R, G, H> {
    /** log-probabilities of the classes at each step: (T, N, C) or (T, C) */
    log_probs: Numbers;
    /** class indices of the labels, without blanks: (N, S), or (S) for all labels in one row */
    targets: Indices;
    /** how many steps count: (N) or () */
    input_lengths: Indices;
    /** how many labels there are: (N) or () */
    target_lengths: Indices;
    /** class index of the blank; by default 0 */
    blank?: number;
    /** an impossible alignment counts as 0, with gradient 0; by default false */
    zero_infinity?: boolean;
}

/** What {@link Losses.sigmoid_focal} takes. */
export interface SigmoidFocal<R, G, H> extends Common<R, G, H> {
    /** logits: (*) */
    input: Numbers;
    /** what they should be, usually 0 or 1: (*), that of input */
    target: Numbers;
    /** weight of positive targets against 1 - alpha of the others, in [0, 1]; -1: no weights, at least -1, at most 1; by default 0.25 */
    alpha?: number;
    /** how much less well predicted terms count; 0 is no less, at least 0; by default 2 */
    gamma?: number;
}

/** What {@link Losses.dice} takes. */
export interface Dice<R, G, H> extends Common<R, G, H> {
    /** predicted probabilities, or logits with sigmoid: (N, C, d1, ...) */
    input: Numbers;
    /** what they should be, usually 0 or 1: that of input */
    target: Numbers;
    /** multiplies the terms of each channel that counts, unless only one does; mean does not divide by it: (C), or (C - 1) without the background */
    weight?: Numbers;
    /** added above and below, MONAI's smooth_nr and smooth_dr: empty masks do not divide 0 by 0, at least 0; by default 0.00001 */
    smooth?: number;
    /** one term for each channel of the whole batch, in place of one for each sample's; by default false */
    batch?: boolean;
    /** whether channel 0 counts; by default true */
    include_background?: boolean;
    /** squares below; by default false */
    squared_pred?: boolean;
    /** the Jaccard index, intersection over union, in place of Dice's; by default false */
    jaccard?: boolean;
    /** the input holds logits of the probabilities; by default false */
    sigmoid?: boolean;
}

/** What {@link Losses.log_cosh} takes. */
export interface LogCosh<R, G, H> extends Common<R, G, H> {
    /** predictions: (*) */
    input: Numbers;
    /** what they should be: (*), broadcast against input */
    target: Numbers;
}

/** What {@link Losses.quantile} takes. */
export interface Quantile<R, G, H> extends Common<R, G, H> {
    /** predicted quantiles: (*) */
    input: Numbers;
    /** what was observed: (*), broadcast against input */
    target: Numbers;
    /** which quantile, at least 0, at most 1; by default 0.5 */
    q?: number;
}

/** What {@link Losses.tweedie} takes. */
export interface Tweedie<R, G, H> extends Common<R, G, H> {
    /** predicted means, greater than 0, or their logarithms: (*) */
    input: Numbers;
    /** what was observed: 0 or more with p in [1, 2), above 0 with p of 2 or more: (*), broadcast against input */
    target: Numbers;
    /** variance power: 0 normal, 1 Poisson, 2 gamma, 3 inverse Gaussian; not between 0 and 1; by default 1.5 */
    p?: number;
    /** the input holds logarithms of the means; by default false */
    log_input?: boolean;
}

/** What {@link Losses.info_nce} takes. */
export interface InfoNce<R, G, H> extends Common<R, G, H> {
    /** vectors: (N, D) */
    query: Numbers;
    /** their positives, and negatives for all others: that of query */
    key: Numbers;
    /** what similarities are divided by, above 0; by default 0.1 */
    temperature?: number;
}

/** A method for each loss. */
export interface Losses {
    /**
     * Mean squared error. Squared difference between prediction and target; the usual loss of regression.
     *
     * `l = w (x - y)^2; mean divides by the sum of the w`
     */
    mse<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: Mse<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Mean absolute error. Absolute difference between prediction and target; less swayed by outliers than mse.
     *
     * `l = w |x - y|; mean divides by the sum of the w`
     */
    l1<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: L1<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Smooth L1. Quadratic for differences below beta, linear above; the slope never exceeds 1. beta 0 is l1.
     *
     * `d = x - y; l = d^2 / (2 beta) where |d| < beta, else |d| - beta/2`
     */
    smooth_l1<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: SmoothL1<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Huber. Half the squared difference up to delta, linear beyond with slope delta; smooth_l1 with beta = delta, times delta.
     *
     * `d = x - y; l = w d^2 / 2 where |d| <= delta, else w delta (|d| - delta/2)`
     */
    huber<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: Huber<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Binary cross entropy. Negative log likelihood of a yes or no, given its probability; logarithms are clamped at -100.
     *
     * `l = -w [y max(log x, -100) + (1 - y) max(log(1 - x), -100)]`
     */
    bce<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: Bce<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Binary cross entropy with logits. Binary cross entropy of sigmoid(x), stable for any x; pos_weight trades recall against precision.
     *
     * `l = w [(1 - y) x + p log(1 + exp(-x))], p = 1 + (pos_weight - 1) y`
     */
    bce_with_logits<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: BceWithLogits<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Cross entropy. Negative log likelihood of the right class, given the logits of all; the usual loss of classification. The target holds class indices, or, where it has the input's shape, a probability for every class.
     *
     * `z = log_softmax(x); l = -(1 - s) w_y z_y - s/C sum_c w_c z_c with class indices, s = label_smoothing, 0 where y = ignore_index; l = -sum_c w_c (p_c (1 - s) + s/C) z_c with probabilities p. mean divides by the sum of the w_y that count; with probabilities by the number of terms`
     */
    cross_entropy<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: CrossEntropy<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Negative log likelihood. Minus the log-probability of the right class. For logits there is cross_entropy.
     *
     * `l = -w_y x_y, 0 where y = ignore_index; mean divides by the sum of the w_y that count`
     */
    nll<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input')[] = false, H extends false = false>(
        fields: Nll<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Kullback-Leibler divergence. How far the distribution whose log-probabilities are the input is from the target's. batchmean is the divergence itself: the sum over the batch size; mean divides by all elements, as PyTorch has it.
     *
     * `l = y (log y - x), 0 where y = 0; log_target: l = exp(y) (y - x)`
     */
    kl_div<R extends 'mean' | 'sum' | 'none' | 'batchmean' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: KlDiv<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Hinge embedding. Of a distance x: the distance itself for similar pairs (y = 1), what it lacks of the margin for dissimilar ones (y = -1).
     *
     * `l = x where y = 1; max(0, margin - x) where y = -1; their sum for any other y`
     */
    hinge_embedding<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: HingeEmbedding<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Cosine embedding. Draws similar pairs of vectors (y = 1) to the same direction and pushes dissimilar ones (y = -1) apart, to a cosine of at most margin.
     *
     * `cos = a.b / sqrt((|a|^2 + 1e-12) (|b|^2 + 1e-12)); l = 1 - cos where y = 1; max(0, cos - margin) where y = -1; else 0`
     */
    cosine_embedding<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input1' | 'input2')[] = false, H extends false = false>(
        fields: CosineEmbedding<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input1' | 'input2'>, Wanted<H, 'input1' | 'input2'>>>;

    /**
     * Poisson negative log likelihood. For counts: the target is Poisson distributed around the input, or around its exponential with log_input.
     *
     * `l = exp(x) - y x; without log_input l = x - y log(x + eps); full adds y log y - y + log(2 pi y)/2 where y > 1`
     */
    poisson_nll<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: PoissonNll<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Gaussian negative log likelihood. Regression that predicts its own uncertainty: the target is normally distributed around the input, with variance var.
     *
     * `v = max(var, eps); l = (log v + (x - y)^2 / v) / 2; full adds log(2 pi)/2`
     */
    gaussian_nll<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target' | 'var')[] = false, H extends boolean | readonly ('input' | 'var')[] = false>(
        fields: GaussianNll<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input' | 'var'>, Wanted<H, 'input' | 'var'>>>;

    /**
     * Margin ranking. Of two scores: input1 should be higher by the margin where y = 1, lower where y = -1.
     *
     * `l = max(0, -y (x1 - x2) + margin)`
     */
    margin_ranking<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input1' | 'input2' | 'target')[] = false, H extends boolean | readonly ('input1' | 'input2')[] = false>(
        fields: MarginRanking<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input1' | 'input2'>, Wanted<H, 'input1' | 'input2'>>>;

    /**
     * Soft margin. Two-class logistic loss for labels 1 and -1; bce_with_logits is the same for labels 1 and 0.
     *
     * `l = log(1 + exp(-y x))`
     */
    soft_margin<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: SoftMargin<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Multi-class margin. Hinge loss over classes: the right one should score higher than each other by the margin.
     *
     * `l = w_y / C sum_{c != y} max(0, margin - x_y + x_c)^p`
     */
    multi_margin<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input')[] = false, H extends false = false>(
        fields: MultiMargin<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Multi-label margin. Hinge loss over classes of which several are right: each of those should score higher by 1 than each that is not.
     *
     * `l = 1/C sum over listed j, unlisted c of max(0, 1 - x_j + x_c)`
     */
    multilabel_margin<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input')[] = false, H extends false = false>(
        fields: MultilabelMargin<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Multi-label soft margin. One yes or no for each class: binary cross entropy with logits, averaged over the classes of a row.
     *
     * `l = -1/C sum_c w_c [y_c log s(x_c) + (1 - y_c) log s(-x_c)], s the sigmoid`
     */
    multilabel_soft_margin<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends false = false>(
        fields: MultilabelSoftMargin<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Triplet margin. An anchor should be nearer to the positive than to the negative, by the margin.
     *
     * `l = max(0, d(a, p) - d(a, n) + margin), d(u, v) = ||u - v + eps||_p; swap: min(d(a, n), d(p, n)) in place of d(a, n); distance cosine: d(u, v) = 1 - cos(u, v)`
     */
    triplet_margin<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('anchor' | 'positive' | 'negative')[] = false, H extends false = false>(
        fields: TripletMargin<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'anchor' | 'positive' | 'negative'>, Wanted<H, 'anchor' | 'positive' | 'negative'>>>;

    /**
     * Connectionist temporal classification. For sequences whose labels are not aligned to the steps: minus the log-probability of all paths that spell the labels once repeats and blanks are taken out. The gradient is PyTorch's, which folds in that of the log_softmax before it.
     *
     * `l = -log sum over alignments of prod_t p_t; mean divides each by its number of labels first`
     */
    ctc<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('log_probs')[] = false, H extends false = false>(
        fields: Ctc<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'log_probs'>, Wanted<H, 'log_probs'>>>;

    /**
     * Sigmoid focal. bce_with_logits in which terms that are predicted well count less, for detection among many negatives; torchvision's.
     *
     * `p = s(x); p_t = p y + (1 - p)(1 - y); l = alpha_t (1 - p_t)^gamma bce_with_logits(x, y), alpha_t = alpha y + (1 - alpha)(1 - y), 1 where alpha = -1`
     */
    sigmoid_focal<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: SigmoidFocal<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Soft Dice. Of masks: 1 less twice the overlap over the total, for each channel of each sample; MONAI's. The input holds probabilities, and the target the mask of each channel (one-hot).
     *
     * `l = w (1 - (2 sum p y + smooth) / (D + smooth)), D = sum p + sum y; squared_pred: D = sum p^2 + sum y^2; jaccard: 2 (D - sum p y) for D; p = x, with sigmoid 1 / (1 + exp(-x))`
     */
    dice<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends false = false>(
        fields: Dice<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Log-cosh. Half the squared difference near 0, the absolute one less log 2 far out, and smooth between; Keras's.
     *
     * `l = log(cosh(x - y))`
     */
    log_cosh<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: LogCosh<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Quantile (pinball). Minimal where the input is the target's q-quantile: too low a prediction costs q, too high a one 1 - q, times the difference.
     *
     * `l = max(q (y - x), (q - 1) (y - x))`
     */
    quantile<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input' | 'target')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: Quantile<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * Tweedie deviance. For amounts that are often exactly 0, such as claims, between Poisson (p = 1) and gamma (p = 2). Of means it is scikit-learn's deviance; with log_input, of their logarithms, XGBoost's negative log likelihood.
     *
     * `l = 2 [max(y, 0)^(2-p) / ((1-p)(2-p)) - y x^(1-p) / (1-p) + x^(2-p) / (2-p)]; log_input: l = -y exp((1-p) x) / (1-p) + exp((2-p) x) / (2-p); where these divide by 0, the limit up to a constant, as for p = 1 2 [y log(y/x) - y + x]`
     */
    tweedie<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('input')[] = false, H extends boolean | readonly ('input')[] = false>(
        fields: Tweedie<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'input'>, Wanted<H, 'input'>>>;

    /**
     * InfoNCE (NT-Xent). Contrastive: each query should be nearer to its own key, that of the same row, than to the keys of all other rows.
     *
     * `s_ij = cos(q_i, k_j) / temperature; l_i = -log(exp(s_ii) / sum_j exp(s_ij))`
     */
    info_nce<R extends 'mean' | 'sum' | 'none' = 'mean', G extends boolean | readonly ('query' | 'key')[] = false, H extends false = false>(
        fields: InfoNce<R, G, H>, options?: CallOptions): Promise<Result<R, Wanted<G, 'query' | 'key'>, Wanted<H, 'query' | 'key'>>>;
}

/** The names of the losses. */
export type LossName = keyof Losses;
