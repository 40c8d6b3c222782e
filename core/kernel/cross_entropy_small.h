/*
 * Cross entropy over rows of few classes, many rows side by side. A template: it is included once
 * for each type that it is worked out in, after
 *
 *     number             the type
 *     few(name)          what its functions are called
 *     few_exp(x, top)    exp(x - top)
 *     few_is_deep(least, top)   whether few_exp() cannot be relied on for a row with such extremes
 *
 * Rows are turned around, so that vectors run across them: class by class, each class one behind
 * the other in all rows.
 */

/* What the rows of a block are worked on with: `x`, later the gradient, and `e` class by class; the
 * others one for each row. */
struct few(rows)
{
    size_t n, classes,
        column; /* `column`: from one class to the next: n, rounded up to whole vectors */
    number *x, *e, *top, *least;
    real *rest, *factor;
};

static struct few(rows) few(rows_of)(const struct loss_block *b)
{
    const size_t column = (b->n + FEW_PAD - 1) / FEW_PAD * FEW_PAD;
    real *const x = b->scratch, *const e = x + FEW_PLANE, *const top = e + FEW_PLANE,
                *const least = top + column;
    return (struct few(rows)){.n = b->n,
                              .classes = b->len[INPUT],
                              .column = column,
                              .x = (number *)(void *)x,
                              .e = (number *)(void *)e,
                              .top = (number *)(void *)top,
                              .least = (number *)(void *)least,
                              .rest = least + column,
                              .factor = least + 2 * column};
}

static void few(take)(const struct loss_block *b, const struct few(rows) * r)
{
    const size_t row = b->row[INPUT];
    for (size_t i = 0; b->in[INPUT] && i < r->n; i++)
        for (size_t c = 0; c < r->classes; c++)
            r->x[c * r->column + i] = (number)b->in[INPUT][i * row + c];
    for (size_t i = 0; b->in32[INPUT] && i < r->n; i++)
        for (size_t c = 0; c < r->classes; c++)
            r->x[c * r->column + i] = b->in32[INPUT][i * row + c];
    for (size_t c = 0; c < r->classes; c++)
        for (size_t i = r->n; i < r->column; i++)
            r->x[c * r->column + i] = 0;
}

/* Finds the largest number of each row. Returns whether few_exp() can be relied on. */
static bool few(largest)(const struct few(rows) * r)
{
    number *const top = r->top, *const least = r->least;
    int deep = 0;
    memcpy(top, r->x, r->column * sizeof *top);
    memcpy(least, r->x, r->column * sizeof *least);
    for (size_t c = 1; c < r->classes; c++) {
        const number *const x = r->x + c * r->column;
#pragma GCC ivdep
        for (size_t i = 0; i < r->column; i++) {
            top[i] = x[i] > top[i] ? x[i] : top[i];
            least[i] = x[i] < least[i] ? x[i] : least[i];
        }
    }
    for (size_t i = 0; i < r->column; i++)
        deep |= few_is_deep(least[i], top[i]);
    return !deep;
}

/* The e_c, and in `rest` the sums of all but the largest of each row, as rest_of() has it. */
static void few(softmax)(const struct few(rows) * r)
{
    const number *const top = r->top;
    real *const rest = r->rest;
    for (size_t i = 0; i < r->column; i++)
        rest[i] = -1;
    for (size_t c = 0; c < r->classes; c++) {
        const number *const x = r->x + c * r->column;
        number *const e = r->e + c * r->column;
#pragma GCC ivdep
        for (size_t i = 0; i < r->column; i++) {
            e[i] = few_exp(x[i], top[i]);
            rest[i] += e[i];
        }
    }
    for (size_t i = 0; i < r->n; i++) {
        if (!(rest[i] < REST_IS_DROWNED))
            continue;
        rest[i] = -1;
        for (int ones = 1; ones >= 0; ones--)
            for (size_t c = 0; c < r->classes; c++)
                rest[i] += (r->e[c * r->column + i] == 1) == ones ? r->e[c * r->column + i] : 0;
    }
}

/* The terms, and in `factor` the weights of the labels, 0 where a label does not count. */
static void few(terms)(struct loss_block *b, const struct few(rows) * r)
{
#pragma GCC ivdep
    for (size_t i = 0; i < r->n; i++)
        b->term[i] = log1p(r->rest[i]);
    for (size_t i = 0; i < r->n; i++) {
        size_t label;
        const bool counts = class_label(b, i, r->classes, &label);
        r->factor[i] = counts ? class_weight(b, label) : 0;
        b->term[i] =
            counts ? (((real)r->top[i] - r->x[label * r->column + i]) + b->term[i]) * r->factor[i]
                   : 0;
    }
}

/* Turns the gradient around, back to rows. */
static void few(give)(const struct loss_block *b, const struct few(rows) * r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct derivative_row grad = gradient_row(b, INPUT, i);
        for (size_t c = 0; grad.wide && c < r->classes; c++)
            grad.wide[c] = r->x[c * r->column + i];
        for (size_t c = 0; grad.narrow && c < r->classes; c++)
            grad.narrow[c] = (float)r->x[c * r->column + i];
    }
}

/* gradient_of_one_class() of all rows. */
static void few(gradient)(struct loss_block *b, const struct few(rows) * r)
{
    const size_t n = r->n, classes = r->classes;
    const size_t ignored = b->ignored; /* they have been counted */
#pragma GCC ivdep
    for (size_t i = 0; i < n; i++)
        r->top[i] = (number)(r->factor[i] / (1 + r->rest[i]) * b->scale[i]);
    for (size_t c = 0; c < classes; c++)
#pragma GCC ivdep
        for (size_t i = 0; i < r->column; i++)
            r->x[c * r->column + i] = r->e[c * r->column + i] * r->top[i];
    for (size_t i = 0; i < n; i++) {
        size_t label;
        const bool counts = class_label(b, i, classes, &label);
        const real own = r->factor[i], all = 1 + r->rest[i],
                   e = counts ? r->e[label * r->column + i] : 0;
        if (counts)
            r->x[label * r->column + i] =
                (number)((e == 1 ? -r->rest[i] / all * own : e / all * own - own) * b->scale[i]);
        for (size_t c = 0; !counts && c < classes; c++) /* also where the row is NaN */
            r->x[c * r->column + i] = 0;
    }
    few(give)(b, r);
    b->ignored = ignored;
}

/* The kernel; false if the numbers want another type. */
static bool few(classes)(struct loss_block *b)
{
    const struct few(rows) rows = few(rows_of)(b);
    few(take)(b, &rows);
    if (!few(largest)(&rows))
        return false;
    few(softmax)(&rows);
    few(terms)(b, &rows);
    if (is_asked_for(gradient_row(b, INPUT, 0)))
        few(gradient)(b, &rows);
    return true;
}
