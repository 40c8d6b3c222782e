/*
 * Cross entropy over rows of few classes, many rows side by side. A template: it is included once
 * for each type that it is worked out in, after
 *
 *     CE_REAL             the type
 *     CE_NAME(name)          what its functions are called
 *     CE_EXP(x, top)    exp(x - top)
 *     CE_EXP_UNDERFLOWS(least, top)   whether CE_EXP() cannot be relied on for a row with such
 * extremes
 *
 * Rows are turned around, so that vectors run across them: class by class, each class one behind
 * the other in all rows.
 */

/* What the rows of a block are worked on with: `x`, later the gradient, and `e` class by class; the
 * others one for each row. */
struct CE_NAME(rows) {
    size_t n, classes,
        column; /* `column`: from one class to the next: n, rounded up to whole vectors */
    CE_REAL *x, *e, *top, *least;
    loss_real *rest, *factor;
};

static struct CE_NAME(rows) CE_NAME(rows_of)(const struct loss_block *b)
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

static void CE_NAME(take)(const struct loss_block *b, const struct CE_NAME(rows) * r)
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

/* Finds the largest number of each row. Returns whether CE_EXP() can be relied on. */
static bool CE_NAME(largest)(const struct CE_NAME(rows) * r)
{
    CE_REAL *const top = r->top, *const least = r->least;
    int deep = 0;
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
        deep |= CE_EXP_UNDERFLOWS(least[i], top[i]);
    return !deep;
}

/* The e_c, and in `rest` the sums of all but the largest of each row, as rest_of() has it. */
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

/* The terms, and in `factor` the weights of the labels, 0 where a label does not count. */
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

/* Turns the gradient around, back to rows. */
static void CE_NAME(give)(const struct loss_block *b, const struct CE_NAME(rows) * r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct derivative_row grad = gradient_row(b, INPUT, i);
        for (size_t c = 0; grad.f64 && c < r->classes; c++)
            grad.f64[c] = r->x[c * r->column + i];
        for (size_t c = 0; grad.f32 && c < r->classes; c++)
            grad.f32[c] = (float)r->x[c * r->column + i];
    }
}

/* gradient_of_one_class() of all rows. */
static void CE_NAME(gradient)(struct loss_block *b, const struct CE_NAME(rows) * r)
{
    const size_t n = r->n, classes = r->classes;
    const size_t ignored = b->ignored; /* they have been counted */
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
        for (size_t c = 0; !counts && c < classes; c++) /* also where the row is NaN */
            r->x[c * r->column + i] = 0;
    }
    CE_NAME(give)(b, r);
    b->ignored = ignored;
}

/* The kernel; false if the numbers want another type. */
static bool CE_NAME(classes)(struct loss_block *b)
{
    const struct CE_NAME(rows) rows = CE_NAME(rows_of)(b);
    CE_NAME(take)(b, &rows);
    if (!CE_NAME(largest)(&rows))
        return false;
    CE_NAME(softmax)(&rows);
    CE_NAME(terms)(b, &rows);
    if (is_requested(gradient_row(b, INPUT, 0)))
        CE_NAME(gradient)(b, &rows);
    return true;
}
