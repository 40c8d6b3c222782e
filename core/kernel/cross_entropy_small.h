/*
 * Cross entropy of many rows with few classes at once. A template: cross_entropy.c includes it for
 * double and for float, each time after defining these macros, which are undefined at the end:
 *
 *     CE_REAL                         the type
 *     CE_NAME(name)                   the name of a function for this type
 *     CE_PAIR                         a number with its rounding error
 *     CE_EXP(x, top)                  exp(x - top) * CE_ONE, as a CE_PAIR
 *     CE_ONE                          a power of two
 *     CE_INEXACT_REST                 if the sum of all e_c minus 1 is less, it is not accurate,
 *                                     and is computed again without the largest
 *     CE_LOG1P(x)                     log(1 + x)
 *     CE_INPUT(b)                     the input of a block
 *     CE_GRAD(row)                    a row of the gradient
 *     CE_TRANSPOSE                    transpose_f32 or transpose_f64
 *
 * The input is transposed, so that vectors run across rows: first the numbers of all rows for the
 * first class, then those of all rows for the second class, and so on.
 */

/* The working arrays. `x` (later the gradient) and `e` have a column of rows for each class; the
   others have one number for each row. */
struct CE_NAME(rows) {
    size_t n, classes, column; /* rows in a column: n, rounded up to whole vectors */
    CE_REAL *x, *e, *top;
    loss_real *rest, *factor;
    CE_REAL *lost;  /* sum of the rounding errors of e */
    CE_REAL *own;   /* x, later e, of the label */
    int32_t *label; /* NOT_COUNTED if the label is ignored or invalid */
};

static struct CE_NAME(rows) CE_NAME(make_rows)(const struct loss_block *b)
{
    const size_t column = (b->n + CE_PAD - 1) / CE_PAD * CE_PAD;
    loss_real *const x = b->scratch, *const e = x + CE_PLANE, *const top = e + CE_PLANE;
    return (struct CE_NAME(rows)){.n = b->n,
                                  .classes = b->elements_per_term[INPUT],
                                  .column = column,
                                  .x = (CE_REAL *)(void *)x,
                                  .e = (CE_REAL *)(void *)e,
                                  .top = (CE_REAL *)(void *)top,
                                  .rest = top + column,
                                  .factor = top + 2 * column,
                                  .own = (CE_REAL *)(void *)(top + 3 * column),
                                  .label = (int32_t *)(void *)(top + 4 * column),
                                  .lost = (CE_REAL *)(void *)(top + 5 * column)};
}

static void CE_NAME(load)(const struct loss_block *b, const struct CE_NAME(rows) * r)
{
    CE_TRANSPOSE(CE_INPUT(b), b->stride[INPUT], r->n, r->classes, r->x, r->column);
    for (size_t c = 0; c < r->classes; c++)
        for (size_t i = r->n; i < r->column; i++)
            r->x[c * r->column + i] = 0;
}

/* Finds the largest number of each row. */
static void CE_NAME(largest)(const struct CE_NAME(rows) * r)
{
    CE_REAL *const top = r->top;
    memcpy(top, r->x, r->column * sizeof *top);
    for (size_t c = 1; c < r->classes; c++) {
        const CE_REAL *const x = r->x + c * r->column;
#pragma GCC ivdep
        for (size_t i = 0; i < r->column; i++)
            top[i] = x[i] > top[i] ? x[i] : top[i];
    }
}

/* Prefetches CE_PAD numbers of the next block's input and gradient, from number i on. */
static inline void CE_NAME(prefetch)(const struct loss_block *b, size_t i)
{
    const size_t floats = sizeof *CE_INPUT(b) / sizeof(float);
    const float *const x = (const void *)CE_INPUT(b);
    float *const grad = (void *)CE_GRAD(gradient_row(b, INPUT, 0));
    for (size_t k = i * floats; k < (i + CE_PAD) * floats; k += PREFETCH_LINE) {
        prefetch_read(x, k + floats * PREFETCH_DISTANCE);
        if (grad)
            prefetch_write(grad, k + floats * PREFETCH_DISTANCE);
    }
}

/* Computes the e_c, and in `rest` the sum of all but the largest of each row. */
static void CE_NAME(softmax)(const struct loss_block *b, const struct CE_NAME(rows) * r)
{
    const CE_REAL *const top = r->top;
    loss_real *const rest = r->rest;
    for (size_t i = 0; i < r->column; i += CE_PAD) {
        loss_real sum[CE_PAD];
        CE_REAL lost[CE_PAD] = {0};
        for (size_t k = 0; k < CE_PAD; k++)
            sum[k] = -CE_ONE;
        for (size_t c = 0; c < r->classes; c++) {
            const CE_REAL *const x = r->x + c * r->column + i;
            CE_REAL *const e = r->e + c * r->column + i;
            CE_NAME(prefetch)(b, c * r->n + i);
#pragma GCC ivdep
            for (size_t k = 0; k < CE_PAD; k++) {
                const CE_PAIR pair = CE_EXP(x[k], top[i + k]);
                e[k] = pair.value;
                sum[k] += pair.value;
                lost[k] += pair.lost;
            }
        }
        memcpy(rest + i, sum, sizeof sum);
        memcpy(r->lost + i, lost, sizeof lost);
    }
    for (size_t i = 0; i < r->n; i++) {
        if (!(rest[i] < CE_INEXACT_REST * (loss_real)CE_ONE))
            continue;
        rest[i] = -CE_ONE;
        for (int ones = 1; ones >= 0; ones--)
            for (size_t c = 0; c < r->classes; c++)
                rest[i] +=
                    (r->e[c * r->column + i] == CE_ONE) == ones ? r->e[c * r->column + i] : 0;
    }
    for (size_t i = 0; i < r->column; i++)
        rest[i] = (rest[i] + r->lost[i]) / CE_ONE;
}

/* Reads the labels. */
static void CE_NAME(labels)(struct loss_block *b, const struct CE_NAME(rows) * r)
{
    const int64_t *const y = b->index[TARGET];
    const size_t stride = b->stride[TARGET];
    size_t counted = 0, label;
    for (size_t i = 0; i < r->n; i++) {
        const bool counts = label_counts(b, y[i * stride], r->classes);
        r->label[i] = counts ? (int32_t)y[i * stride] : NOT_COUNTED;
        counted += counts;
    }
    for (size_t i = 0; counted < r->n && i < r->n; i++)
        (void)class_label(b, i, r->classes, &label);
}

/* Reads the logits and the weights of the labels. Labels that do not count get weight 0. */
static void CE_NAME(own_logits)(struct loss_block *b, const struct CE_NAME(rows) * r)
{
    const bool weighted = b->in[WEIGHT] || b->in_f32[WEIGHT];
    for (size_t i = 0; i < r->n; i++)
        r->own[i] = r->x[class_of(r->label[i]) * r->column + i];
    for (size_t i = 0; i < r->n; i++)
        r->factor[i] = r->label[i] == NOT_COUNTED ? 0 : 1;
    for (size_t i = 0; weighted && i < r->n; i++)
        if (r->label[i] != NOT_COUNTED)
            r->factor[i] = class_weight(b, class_of(r->label[i]));
    for (size_t i = r->n; i < r->column; i++)
        r->factor[i] = 0;
}

/* Computes the terms. */
static void CE_NAME(terms)(struct loss_block *b, const struct CE_NAME(rows) * r)
{
#pragma GCC ivdep
    for (size_t i = 0; i < r->n; i++) {
        const loss_real term =
            (((loss_real)r->top[i] - r->own[i]) + CE_LOG1P(r->rest[i])) * r->factor[i];
        b->term[i] = r->label[i] == NOT_COUNTED ? 0 : term;
    }
}

/* Computes dl/dx of the labels in `own`, and the factor of the other classes in `factor`. */
static void CE_NAME(label_gradient)(const struct loss_block *b, const struct CE_NAME(rows) * r)
{
    for (size_t i = 0; i < r->n; i++)
        r->own[i] = r->e[class_of(r->label[i]) * r->column + i];
#pragma GCC ivdep
    for (size_t i = 0; i < r->n; i++) {
        const loss_real own = r->factor[i], inverse = own / (1 + r->rest[i]),
                        e = r->own[i] / (loss_real)CE_ONE;
        r->own[i] = (CE_REAL)((e == 1 ? -r->rest[i] * inverse : e * inverse - own) * b->scale[i]);
        r->factor[i] = inverse * b->scale[i] / CE_ONE;
    }
}

/* Computes dl/dx, like gradient_of_one_class(), for all rows. */
static void CE_NAME(gradient)(const struct loss_block *b, const struct CE_NAME(rows) * r)
{
    CE_NAME(label_gradient)(b, r);
    for (size_t c = 0; c < r->classes; c++)
#pragma GCC ivdep
        for (size_t i = 0; i < r->column; i++)
            r->x[c * r->column + i] = (CE_REAL)(r->e[c * r->column + i] * r->factor[i]);
    for (size_t i = 0; i < r->n; i++)
        if (r->label[i] != NOT_COUNTED)
            r->x[(size_t)r->label[i] * r->column + i] = r->own[i];
        else
            for (size_t c = 0; c < r->classes; c++) /* even if the row is NaN */
                r->x[c * r->column + i] = 0;
    CE_TRANSPOSE(r->x, r->column, r->classes, r->n, CE_GRAD(gradient_row(b, INPUT, 0)), r->classes);
}

/* Evaluates a block. */
static void CE_NAME(block)(struct loss_block *b)
{
    const struct CE_NAME(rows) rows = CE_NAME(make_rows)(b);
    CE_NAME(load)(b, &rows);
    CE_NAME(largest)(&rows);
    CE_NAME(softmax)(b, &rows);
    CE_NAME(labels)(b, &rows);
    CE_NAME(own_logits)(b, &rows);
    CE_NAME(terms)(b, &rows);
    if (is_requested(gradient_row(b, INPUT, 0)))
        CE_NAME(gradient)(b, &rows);
}

#undef CE_REAL
#undef CE_NAME
#undef CE_PAIR
#undef CE_EXP
#undef CE_ONE
#undef CE_INEXACT_REST
#undef CE_LOG1P
#undef CE_INPUT
#undef CE_GRAD
#undef CE_TRANSPOSE
