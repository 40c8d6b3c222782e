/*
 * Cross entropy of many rows with few classes at once. A template: cross_entropy.c includes it for
 * double and for float, after it defines
 *
 *     CE_REAL                         the type
 *     CE_NAME(name)                   the name of a function for this type
 *     CE_EXP(x, top)                  exp(x - top) * CE_ONE
 *     CE_ONE                          a power of two
 *
 * Rows are transposed, so that vectors run across them: all rows of the first class, then all rows
 * of the second class, and so on.
 */

/* The working arrays. `x` (later the gradient) and `e` have a column of rows for each class; the
   others have one number for each row. */
struct CE_NAME(rows) {
    size_t n, classes, column; /* rows in a column: n, rounded up to whole vectors */
    CE_REAL *x, *e, *top;
    loss_real *rest, *factor;
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
                                  .label = (int32_t *)(void *)(top + 4 * column)};
}

static void CE_NAME(load)(const struct loss_block *b, const struct CE_NAME(rows) * r)
{
    for (size_t i = 0; i < r->n; i++) {
        const size_t row = i * b->stride[INPUT];
        CE_REAL *const to = r->x + i;
        for (size_t c = 0; b->in_f32[INPUT] && c < r->classes; c += PREFETCH_LINE)
            prefetch_read(b->in_f32[INPUT], row + c + PREFETCH_DISTANCE);
        if (b->in_f32[INPUT])
            CE_TRANSPOSE(c, r->classes, to[c * r->column] = b->in_f32[INPUT][row + c])
        else
            CE_TRANSPOSE(c, r->classes, to[c * r->column] = (CE_REAL)b->in[INPUT][row + c])
    }
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

/* Computes the e_c, and in `rest` the sum of all but the largest of each row, like rest_of(). */
static void CE_NAME(softmax)(const struct CE_NAME(rows) * r)
{
    const CE_REAL *const top = r->top;
    loss_real *const rest = r->rest;
    for (size_t i = 0; i < r->column; i++)
        rest[i] = -CE_ONE;
    for (size_t c = 0; c < r->classes; c++) {
        const CE_REAL *const x = r->x + c * r->column;
        CE_REAL *const e = r->e + c * r->column;
#pragma GCC ivdep
        for (size_t i = 0; i < r->column; i++) {
            e[i] = CE_EXP(x[i], top[i]);
            rest[i] += e[i];
        }
    }
    for (size_t i = 0; i < r->n; i++) {
        if (!(rest[i] < REST_IS_INEXACT * (loss_real)CE_ONE))
            continue;
        rest[i] = -CE_ONE;
        for (int ones = 1; ones >= 0; ones--)
            for (size_t c = 0; c < r->classes; c++)
                rest[i] +=
                    (r->e[c * r->column + i] == CE_ONE) == ones ? r->e[c * r->column + i] : 0;
    }
    for (size_t i = 0; i < r->column; i++)
        rest[i] /= CE_ONE;
}

/* Reads the labels and their weights. Those that do not count get weight 0. */
static void CE_NAME(labels)(struct loss_block *b, const struct CE_NAME(rows) * r)
{
    for (size_t i = 0; i < r->n; i++) {
        size_t label = 0;
        const bool counts = class_label(b, i, r->classes, &label);
        r->label[i] = counts ? (int32_t)label : NOT_COUNTED;
        r->factor[i] = counts ? class_weight(b, label) : 0;
        r->own[i] = r->x[label * r->column + i];
    }
    for (size_t i = r->n; i < r->column; i++)
        r->factor[i] = 0;
}

/* Computes the terms. */
static void CE_NAME(terms)(struct loss_block *b, const struct CE_NAME(rows) * r)
{
#pragma GCC ivdep
    for (size_t i = 0; i < r->n; i++) {
        const loss_real term =
            (((loss_real)r->top[i] - r->own[i]) + vlog1p(r->rest[i])) * r->factor[i];
        b->term[i] = r->label[i] == NOT_COUNTED ? 0 : term;
    }
}

/* Transposes the gradient back to rows. */
static void CE_NAME(store_gradient)(const struct loss_block *b, const struct CE_NAME(rows) * r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct derivative_row grad = gradient_row(b, INPUT, i);
        const CE_REAL *const from = r->x + i;
        for (size_t c = 0; grad.f32 && c < r->classes; c += PREFETCH_LINE)
            prefetch_write(grad.f32, c + PREFETCH_DISTANCE);
        if (grad.f32)
            CE_TRANSPOSE(c, r->classes, grad.f32[c] = (float)from[c * r->column])
        else
            CE_TRANSPOSE(c, r->classes, grad.f64[c] = from[c * r->column])
    }
}

/* Computes dl/dx of the labels in `own`, and the factor of the other classes in `factor`. */
static void CE_NAME(label_gradient)(const struct loss_block *b, const struct CE_NAME(rows) * r)
{
    for (size_t i = 0; i < r->n; i++)
        r->own[i] = r->e[(r->label[i] == NOT_COUNTED ? 0 : (size_t)r->label[i]) * r->column + i];
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
    CE_NAME(store_gradient)(b, r);
}

/* Evaluates a block. */
static void CE_NAME(block)(struct loss_block *b)
{
    const struct CE_NAME(rows) rows = CE_NAME(make_rows)(b);
    CE_NAME(load)(b, &rows);
    CE_NAME(largest)(&rows);
    CE_NAME(softmax)(&rows);
    CE_NAME(labels)(b, &rows);
    CE_NAME(terms)(b, &rows);
    if (is_requested(gradient_row(b, INPUT, 0)))
        CE_NAME(gradient)(b, &rows);
}
