/*
 * Cross entropy of many rows with few classes at once. A template: cross_entropy.c includes it for
 * double and for float, after it defines
 *
 *     CE_REAL                         the type
 *     CE_NAME(name)                   the name of a function for this type
 *     CE_EXP(x, top)                  exp(x - top)
 *     CE_EXP_UNDERFLOWS(least, top)   true if CE_EXP() is inexact for a row with these extremes
 *
 * Rows are transposed, so that vectors run across them: all rows of the first class, then all rows
 * of the second class, and so on.
 */

/* The working arrays. `x` (later the gradient) and `e` have a column of rows for each class; the
   others have one number for each row. */
struct CE_NAME(rows) {
    size_t n, classes, column; /* rows in a column: n, rounded up to whole vectors */
    CE_REAL *x, *e, *top, *least;
    loss_real *rest, *factor;
};

static struct CE_NAME(rows) CE_NAME(make_rows)(const struct loss_block *b)
{
    const size_t column = (b->n + CE_PAD - 1) / CE_PAD * CE_PAD;
    loss_real *const x = b->scratch, *const e = x + CE_PLANE, *const top = e + CE_PLANE,
                     *const least = top + column;
    return (struct CE_NAME(rows)){.n = b->n,
                                  .classes = b->elements_per_term[INPUT],
                                  .column = column,
                                  .x = (CE_REAL *)(void *)x,
                                  .e = (CE_REAL *)(void *)e,
                                  .top = (CE_REAL *)(void *)top,
                                  .least = (CE_REAL *)(void *)least,
                                  .rest = least + column,
                                  .factor = least + 2 * column};
}

static void CE_NAME(load)(const struct loss_block *b, const struct CE_NAME(rows) * r)
{
    const size_t row = b->stride[INPUT];
    for (size_t i = 0; b->in[INPUT] && i < r->n; i++)
        for (size_t c = 0; c < r->classes; c++)
            r->x[c * r->column + i] = (CE_REAL)b->in[INPUT][i * row + c];
    for (size_t i = 0; b->in_f32[INPUT] && i < r->n; i++)
        for (size_t c = 0; c < r->classes; c++)
            r->x[c * r->column + i] = b->in_f32[INPUT][i * row + c];
    for (size_t c = 0; c < r->classes; c++)
        for (size_t i = r->n; i < r->column; i++)
            r->x[c * r->column + i] = 0;
}

/* Finds the largest number of each row. Returns false if CE_EXP() is inexact for a row. */
static bool CE_NAME(largest)(const struct CE_NAME(rows) * r)
{
    CE_REAL *const top = r->top, *const least = r->least;
    int underflows = 0;
    memcpy(top, r->x, r->column * sizeof *top);
    memcpy(least, r->x, r->column * sizeof *least);
    for (size_t c = 1; c < r->classes; c++) {
        const CE_REAL *const x = r->x + c * r->column;
#pragma GCC ivdep
        for (size_t i = 0; i < r->column; i++) {
            top[i] = x[i] > top[i] ? x[i] : top[i];
            least[i] = x[i] < least[i] ? x[i] : least[i];
        }
    }
    for (size_t i = 0; i < r->column; i++)
        underflows |= CE_EXP_UNDERFLOWS(least[i], top[i]);
    return !underflows;
}

/* Computes the e_c, and in `rest` the sum of all but the largest of each row, like rest_of(). */
static void CE_NAME(softmax)(const struct CE_NAME(rows) * r)
{
    const CE_REAL *const top = r->top;
    loss_real *const rest = r->rest;
    for (size_t i = 0; i < r->column; i++)
        rest[i] = -1;
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
        if (!(rest[i] < REST_IS_INEXACT))
            continue;
        rest[i] = -1;
        for (int ones = 1; ones >= 0; ones--)
            for (size_t c = 0; c < r->classes; c++)
                rest[i] += (r->e[c * r->column + i] == 1) == ones ? r->e[c * r->column + i] : 0;
    }
}

/* Computes the terms, and in `factor` the weight of each label; 0 if the label is ignored or
   invalid. */
static void CE_NAME(terms)(struct loss_block *b, const struct CE_NAME(rows) * r)
{
#pragma GCC ivdep
    for (size_t i = 0; i < r->n; i++)
        b->term[i] = vlog1p(r->rest[i]);
    for (size_t i = 0; i < r->n; i++) {
        size_t label;
        const bool counts = class_label(b, i, r->classes, &label);
        r->factor[i] = counts ? class_weight(b, label) : 0;
        b->term[i] = counts ? (((loss_real)r->top[i] - r->x[label * r->column + i]) + b->term[i]) *
                                  r->factor[i]
                            : 0;
    }
}

/* Transposes the gradient back to rows. */
static void CE_NAME(store_gradient)(const struct loss_block *b, const struct CE_NAME(rows) * r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct derivative_row grad = gradient_row(b, INPUT, i);
        for (size_t c = 0; grad.f64 && c < r->classes; c++)
            grad.f64[c] = r->x[c * r->column + i];
        for (size_t c = 0; grad.f32 && c < r->classes; c++)
            grad.f32[c] = (float)r->x[c * r->column + i];
    }
}

/* Computes dl/dx, like gradient_of_one_class(), for all rows. */
static void CE_NAME(gradient)(struct loss_block *b, const struct CE_NAME(rows) * r)
{
    const size_t n = r->n, classes = r->classes;
    const size_t ignored = b->ignored; /* already counted */
#pragma GCC ivdep
    for (size_t i = 0; i < n; i++)
        r->top[i] = (CE_REAL)(r->factor[i] / (1 + r->rest[i]) * b->scale[i]);
    for (size_t c = 0; c < classes; c++)
#pragma GCC ivdep
        for (size_t i = 0; i < r->column; i++)
            r->x[c * r->column + i] = r->e[c * r->column + i] * r->top[i];
    for (size_t i = 0; i < n; i++) {
        size_t label;
        const bool counts = class_label(b, i, classes, &label);
        const loss_real own = r->factor[i], all = 1 + r->rest[i],
                        e = counts ? r->e[label * r->column + i] : 0;
        if (counts)
            r->x[label * r->column + i] =
                (CE_REAL)((e == 1 ? -r->rest[i] / all * own : e / all * own - own) * b->scale[i]);
        for (size_t c = 0; !counts && c < classes; c++) /* even if the row is NaN */
            r->x[c * r->column + i] = 0;
    }
    CE_NAME(store_gradient)(b, r);
    b->ignored = ignored;
}

/* Evaluates a block. Returns false if the block needs higher precision. */
static bool CE_NAME(block)(struct loss_block *b)
{
    const struct CE_NAME(rows) rows = CE_NAME(make_rows)(b);
    CE_NAME(load)(b, &rows);
    if (!CE_NAME(largest)(&rows))
        return false;
    CE_NAME(softmax)(&rows);
    CE_NAME(terms)(b, &rows);
    if (is_requested(gradient_row(b, INPUT, 0)))
        CE_NAME(gradient)(b, &rows);
    return true;
}
