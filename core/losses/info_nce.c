/* InfoNCE, NT-Xent. A. van den Oord et al., Representation learning with contrastive predictive
   coding, 2018; T. Chen et al., A simple framework for contrastive learning, 2020. */
#include "kernel/loss_kernel.h"
#include "kernel/matrix_product.h"
#include "kernel/row_search.h"

enum { QUERY, KEY };
enum { TEMPERATURE };

/* Limit of N, because each query is compared with each key: more would take minutes. */
enum { MAX_PAIRS = 65536 };

/* Lower bound of the norm that a vector is divided by, as in torch.nn.functional.normalize. */
#define EPS 1e-12

/*
 * The state of pair i: u = q / |q| and v = k / |k|, their norms, and with s_ij = u_i.v_j /
 * temperature: s_ii, max_j s_ij, sum_j exp(s_ij - max), the same sum without j = i, and the scale
 * of its gradients.
 */
struct pair_state {
    loss_real *unit[2], *norm;
    loss_real *own, *top, *sum, *others, *scale;
};
enum { STATE_NUMBERS = 7 };

/* Similarities are computed in blocks: ROWS vectors of one side with COLUMNS of the other. */
enum { ROWS = 64, COLUMNS = PANEL_DEPTH };

/* The scratch memory of a block. */
struct workspace {
    loss_real *scores; /* [ROWS][COLUMNS]: similarities, then the slopes with respect to them */
    loss_real *panel;  /* [PANEL_DEPTH][PANEL_COLUMNS] */
    loss_real *grad;   /* [rows][padded_dimension()] */
};

static size_t dimension_of(const struct loss_plan *plan)
{
    return plan->tensor[QUERY].shape[plan->tensor[QUERY].rank - 1];
}

static size_t padded_dimension(size_t dimension)
{
    return (dimension + PANEL_COLUMNS - 1) / PANEL_COLUMNS * PANEL_COLUMNS;
}

static size_t state_per_term(const struct loss_plan *plan)
{
    return 2 * dimension_of(plan) + STATE_NUMBERS;
}

static struct pair_state state_of(const struct loss_block *b, size_t i)
{
    const size_t n = b->elements_per_term[QUERY];
    loss_real *const at = b->per_term_state + i * state_per_term(b->plan), *const rest = at + 2 * n;
    return (struct pair_state){{at, at + n}, rest,     rest + 2, rest + 3,
                               rest + 4,     rest + 5, rest + 6};
}

/* Returns |x|, even if the squares overflow. */
static loss_real norm(const loss_real *x, size_t n, const struct loss_control *cancel)
{
    loss_real most = 0;
    struct compensated_lanes squares = {0};
    struct sum_lanes next;
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t c = s.first; c < s.end; c++)
            most = vmax(fabs(x[c]), most);
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t c = s.first; c < s.end; c += SUM_LANES) {
            sum_load(&next, x, c, s.end);
            for (int v = 0; v < SUM_VECTORS; v++) {
                const sum_vector part = most > 0 ? next.vector[v] / most : next.vector[v];
                next.vector[v] = most > 0 ? part * part : part;
            }
            compensated_add_lanes(&squares, &next);
        }
    return most * sqrt(compensated_value(&squares));
}

static void normalize(struct loss_block *b)
{
    const size_t n = b->elements_per_term[QUERY];
    for (size_t i = 0; i < b->n; i++) {
        const struct pair_state own = state_of(b, b->first + i);
        *own.scale = b->scale[i];
        for (int k = QUERY; k <= KEY; k++) {
            const loss_real *x = b->in[k] + i * b->stride[k];
            own.norm[k] = vmax(EPS, norm(x, n, b->cancel)); /* may be NaN */
            for (struct slice s = {0}; slice_next(&s, n, b->cancel);)
                for (size_t c = s.first; c < s.end; c++)
                    own.unit[k][c] = x[c] / own.norm[k];
        }
    }
}

/* Divides the scratch memory. The arrays are aligned to cache lines. */
static struct workspace make_workspace(const struct loss_block *b)
{
    enum { LINE = 64 };
    const size_t past_line = (uintptr_t)b->scratch % LINE;
    loss_real *const at =
        b->scratch + (past_line > 0 ? (LINE - past_line) / sizeof *b->scratch : 0);
    return (struct workspace){at, at + ROWS * COLUMNS,
                              at + ROWS * COLUMNS + PANEL_DEPTH * PANEL_COLUMNS};
}

/* Computes the similarities of the block's vectors of side k and vectors [first, first + n), n <=
   COLUMNS, of the other side. The other columns of `scores` are 0. */
static void compute_scores(const struct loss_block *b, const struct workspace *w, int k,
                           size_t first, size_t n)
{
    const size_t dimension = b->elements_per_term[QUERY], stride = state_per_term(b->plan);
    loss_real *const rows = state_of(b, b->first).unit[k], *const others =
                                                               state_of(b, first).unit[1 - k];
    memset(w->scores, 0, ROWS * COLUMNS * sizeof *w->scores);
    for (size_t column = 0; column < n; column += PANEL_COLUMNS) {
        const size_t width = n - column < PANEL_COLUMNS ? n - column : PANEL_COLUMNS;
        memset(w->panel, 0, PANEL_DEPTH * PANEL_COLUMNS * sizeof *w->panel);
        for (size_t d = 0; d < dimension; d += PANEL_DEPTH) {
            const size_t depth = dimension - d < PANEL_DEPTH ? dimension - d : PANEL_DEPTH;
            if (cancel_requested(b->cancel))
                return;
            for (size_t c = 0; c < width; c++)
                for (size_t e = 0; e < depth; e++)
                    w->panel[e * PANEL_COLUMNS + c] = others[(column + c) * stride + d + e];
            add_product((struct matrix_rows){rows + d, stride}, w->panel, depth, b->n,
                        (struct matrix_rows){w->scores + column, COLUMNS});
        }
    }
    for (size_t i = 0; i < b->n * COLUMNS; i++)
        w->scores[i] /= b->number[TEMPERATURE];
}

/* The maximum of the similarities of a query that have been computed, and the sum of exp(s - max)
   over all keys but its own. */
struct running_sum {
    loss_real top;
    struct compensated_lanes others;
};

/* Adds n similarities, n <= COLUMNS. That at index `own` is not added to the sum. */
static void add_scores(struct running_sum *row, const loss_real *scores, size_t n, size_t own)
{
    const loss_real top = max_in_slice(row->top, scores, n),
                    shift = top == -(loss_real)INFINITY ? 0 : top;
    loss_real parts[COLUMNS];
    struct sum_lanes next;
    if (top > row->top) {
        const loss_real smaller = vexp(row->top - top);
        for (int v = 0; v < SUM_VECTORS; v++) {
            row->others.value.vector[v] *= smaller;
            row->others.lost.vector[v] *= smaller;
        }
    }
    row->top = top;
    for (size_t c = 0; c < COLUMNS; c++)
        parts[c] = vexp(scores[c] - shift);
    if (own < n)
        parts[own] = 0;
    for (size_t c = 0; c < n; c += SUM_LANES) {
        sum_load(&next, parts, c, n);
        compensated_add_lanes(&row->others, &next);
    }
}

/* Compares the queries of the block with all keys. */
static void compare(struct loss_block *b)
{
    const size_t pairs = loss_tensor_elements(&b->plan->terms);
    const struct workspace w = make_workspace(b);
    struct running_sum row[ROWS];
    for (size_t i = 0; i < b->n; i++)
        row[i] = (struct running_sum){.top = -(loss_real)INFINITY};
    for (size_t first = 0; first < pairs && !cancel_requested(b->cancel); first += COLUMNS) {
        const size_t n = pairs - first < COLUMNS ? pairs - first : COLUMNS;
        compute_scores(b, &w, QUERY, first, n);
        for (size_t i = 0; i < b->n; i++) {
            const size_t own = b->first + i - first; /* if below n */
            const loss_real *const scores = w.scores + i * COLUMNS;
            add_scores(&row[i], scores, n, own);
            if (own < n)
                *state_of(b, b->first + i).own = scores[own];
        }
    }
    for (size_t i = 0; i < b->n; i++) {
        const struct pair_state own = state_of(b, b->first + i);
        *own.top = row[i].top;
        *own.others = compensated_value(&row[i].others);
        *own.sum = *own.others + vexp(*own.own - *own.top);
    }
}

/* What the slopes of a row of similarities depend on: numbers of the query in each column. */
struct column_queries {
    loss_real top[COLUMNS], sum[COLUMNS], scale[COLUMNS];
};

static void set_column(struct column_queries *to, size_t c, const struct pair_state *query)
{
    to->top[c] = *query->top;
    to->sum[c] = *query->sum;
    to->scale[c] = *query->scale;
}

/* Replaces the similarities by the slopes dL/ds_ij = softmax_j(s_i)[j] - [i = j], times the scale
   of term i. 1 - softmax is computed from the other terms. */
static void compute_slopes(const struct loss_block *b, const struct workspace *w, int k,
                           size_t first, size_t n)
{
    struct column_queries of = {{0}, {0}, {0}};
    for (size_t c = 0; k == KEY && c < n; c++) {
        const struct pair_state query = state_of(b, first + c);
        set_column(&of, c, &query);
    }
    for (size_t i = 0; i < b->n; i++) {
        const struct pair_state own = state_of(b, b->first + i);
        loss_real *const slope = w->scores + i * COLUMNS;
        for (size_t c = 0; k == QUERY && c < COLUMNS; c++)
            set_column(&of, c, &own);
        for (size_t c = 0; c < COLUMNS; c++)
            slope[c] = vexp(slope[c] - of.top[c]) / of.sum[c] * of.scale[c];
        if (b->first + i - first < n)
            slope[b->first + i - first] = -*own.others / *own.sum * *own.scale;
    }
}

/* Adds the products of slopes and vectors [first, first + n) of the other side to the gradients. */
static void add_gradients(const struct loss_block *b, const struct workspace *w, int k,
                          size_t first, size_t n)
{
    const size_t dimension = b->elements_per_term[QUERY], stride = state_per_term(b->plan),
                 padded = padded_dimension(dimension);
    const loss_real *const others = state_of(b, first).unit[1 - k];
    for (size_t d = 0; d < dimension && !cancel_requested(b->cancel); d += PANEL_COLUMNS) {
        const size_t width = dimension - d < PANEL_COLUMNS ? dimension - d : PANEL_COLUMNS;
        if (width < PANEL_COLUMNS)
            memset(w->panel, 0, PANEL_DEPTH * PANEL_COLUMNS * sizeof *w->panel);
        for (size_t c = 0; c < n; c++)
            memcpy(w->panel + c * PANEL_COLUMNS, others + c * stride + d, width * sizeof *others);
        add_product((struct matrix_rows){w->scores, COLUMNS}, w->panel, n, b->n,
                    (struct matrix_rows){w->grad + d, padded});
    }
}

/* Converts the gradient with respect to the direction u of a vector to the gradient with respect to
   the vector: removes the component along u. */
static void normalize_backward(loss_real *grad, const loss_real *u, loss_real norm, size_t n,
                               const struct loss_control *cancel)
{
    const loss_real along = norm > EPS ? sum_products(grad, u, n, cancel) : 0;
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t c = s.first; c < s.end; c++)
            grad[c] = (grad[c] - along * u[c]) / norm;
}

/* Computes the gradients with respect to the block's queries (sums over all keys) or keys (sums
   over all queries). */
static void gradients(const struct loss_block *b, const struct workspace *w, int k)
{
    const size_t dimension = b->elements_per_term[QUERY], padded = padded_dimension(dimension),
                 pairs = loss_tensor_elements(&b->plan->terms);
    zero_all(w->grad, b->n * padded, b->cancel);
    for (size_t first = 0; first < pairs && !cancel_requested(b->cancel); first += COLUMNS) {
        const size_t n = pairs - first < COLUMNS ? pairs - first : COLUMNS;
        compute_scores(b, w, k, first, n);
        compute_slopes(b, w, k, first, n);
        add_gradients(b, w, k, first, n);
    }
    for (size_t i = 0; i < b->n; i++) {
        const struct pair_state own = state_of(b, b->first + i);
        loss_real *const grad = b->grad[k] + i * dimension;
        for (struct slice s = {0}; slice_next(&s, dimension, b->cancel);)
            for (size_t c = s.first; c < s.end; c++)
                grad[c] = w->grad[i * padded + c] / b->number[TEMPERATURE];
        normalize_backward(grad, own.unit[k], own.norm[k], dimension, b->cancel);
    }
}

/* l_i = -log softmax_j(s_i)[i]. A query's gradient sums over all keys, a key's over all queries. */
static void info_nce_kernel(struct loss_block *b)
{
    const struct workspace w = make_workspace(b);
    for (size_t i = 0; i < b->n; i++) {
        const struct pair_state own = state_of(b, b->first + i);
        const loss_real below = *own.top - *own.own;
        b->term[i] = below == 0 ? vlog1p(*own.others) : below + vlog(*own.sum);
    }
    for (int k = QUERY; k <= KEY; k++)
        if (b->grad[k])
            gradients(b, &w, k);
}

/* A block of ROWS vectors, but of at most 64 Ki numbers. */
static size_t terms_per_chunk(const struct loss_plan *plan)
{
    const size_t fit = ((size_t)1 << 16) / (dimension_of(plan) + 1);
    return fit < 1 ? 1 : fit < ROWS ? fit : ROWS;
}

static size_t scratch(const struct loss_plan *plan)
{
    enum { ALIGNMENT = 8, FIXED = ROWS * COLUMNS + PANEL_DEPTH * PANEL_COLUMNS + ALIGNMENT };
    size_t numbers = terms_per_chunk(plan);
    return __builtin_mul_overflow(numbers, padded_dimension(dimension_of(plan)), &numbers) ||
                   __builtin_add_overflow(numbers, (size_t)FIXED, &numbers)
               ? SIZE_MAX
               : numbers;
}

/* Each query is compared with each key, in D elements. */
static size_t elements(const struct loss_plan *plan)
{
    size_t numbers = loss_tensor_elements(&plan->tensor[QUERY]);
    return __builtin_mul_overflow(numbers, loss_tensor_elements(&plan->terms), &numbers) ? SIZE_MAX
                                                                                         : numbers;
}

/* Each pair costs an exponential and D products, once for the value and once for each gradient. */
static struct loss_cost cost_of(const struct loss_plan *plan)
{
    const loss_real dimension = fmax(1, (loss_real)plan->tensor[QUERY].shape[1]);
    const loss_real value = 0.075 + 2.8 / dimension, gradient = 0.13 + 3.1 / dimension;
    const bool both = (plan->grad_mask >> QUERY & 1) && (plan->grad_mask >> KEY & 1);
    return (struct loss_cost){0, value, value + gradient,
                              both ? value + 2 * gradient : value + gradient};
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    if (plan->tensor[QUERY].rank != 2)
        return loss_shape_error(plan, error, QUERY, "it must be (N, D)");
    if (plan->tensor[QUERY].shape[0] > MAX_PAIRS)
        return loss_shape_error(
            plan, error, QUERY,
            "at most %d queries are supported, because each is compared with each key", MAX_PAIRS);
    return loss_shape_rows(plan, 1, error);
}

static const char *indivisible(const struct loss_plan *plan)
{
    (void)plan;
    return "each query is compared with every key of its batch";
}

static const struct loss_example example = {
    .tensors = {[QUERY] = {2, {3, 2}, NUMBERS(1, 0.2, -0.3, 0.9, -0.8, -0.5)},
                [KEY] = {2, {3, 2}, NUMBERS(0.9, 0.3, -0.1, 1, -0.7, -0.7)}},
    .params = {[TEMPERATURE] = {true, {0.5, 0}}},
};

const struct loss_descriptor loss_info_nce = {
    .name = "info_nce",
    .aliases = {"InfoNCE", "NTXentLoss", "nt_xent"},
    .title = "InfoNCE (NT-Xent)",
    .doc = "Contrastive: each query should be more similar to its own key, in the same row, than "
           "to the keys of all other rows.",
    .formula = "s_ij = cos(q_i, k_j) / temperature; l_i = -log(exp(s_ii) / sum_j exp(s_ij))",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [QUERY] = {"query", "vectors", "(N, D)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [KEY] = {"key",
                     "the positive example for each query, and a negative example for all others",
                     "same as query", LOSS_REAL, .prediction = true, .differentiable = true},
        },
    .params = {[TEMPERATURE] = {"temperature",
                                "divisor of the similarities",
                                LOSS_NUMBER,
                                {0.1, 0},
                                .has_min = true,
                                .exclusive_min = true}},
    .example = &example,
    .method =
        &(const struct loss_method){
            .cost_of = cost_of,
            .shape = shape,
            .indivisible = indivisible,
            .kernel_f64 = info_nce_kernel,
            .prepare = {normalize, compare},
            .state_per_term = state_per_term,
            .scratch = scratch,
            .terms_per_chunk = terms_per_chunk,
            .elements = elements,
        },
};
