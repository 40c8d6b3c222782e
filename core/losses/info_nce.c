/* InfoNCE, NT-Xent. A. van den Oord et al., Representation learning with contrastive predictive
   coding, 2018; T. Chen et al., A simple framework for contrastive learning, 2020. */
#include "kernel/compensated_sum.h"
#include "kernel/loss_kernel.h"

enum { QUERY, KEY };
enum { TEMPERATURE };

/* Limit of N, because each query is compared with each key: more would take minutes. */
enum { MAX_PAIRS = 65536 };

/* Lower bound of the norm that a vector is divided by, as in torch.nn.functional.normalize. */
#define EPS 1e-12

/*
 * The state of pair i: u = q / |q| and v = k / |k|, their norms, and with s_ij = u_i.v_j /
 * temperature: max_j s_ij, sum_j exp(s_ij - max), the same sum without j = i, and the scale of its
 * gradients.
 */
struct pair_state {
    loss_real *unit[2], *norm;
    loss_real *top, *sum, *others, *scale;
};
enum { STATE_NUMBERS = 6 };

static size_t state_per_term(const struct loss_plan *plan)
{
    return 2 * plan->tensor[QUERY].shape[plan->tensor[QUERY].rank - 1] + STATE_NUMBERS;
}

static struct pair_state state_of(const struct loss_block *b, size_t i)
{
    const size_t n = b->elements_per_term[QUERY];
    loss_real *const at = b->per_term_state + i * state_per_term(b->plan), *const rest = at + 2 * n;
    return (struct pair_state){{at, at + n}, rest, rest + 2, rest + 3, rest + 4, rest + 5};
}

/* Returns s_ij. */
static loss_real similarity(const struct loss_block *b, const struct pair_state *query,
                            const struct pair_state *key)
{
    return sum_products(query->unit[QUERY], key->unit[KEY], b->elements_per_term[QUERY],
                        b->cancel) /
           b->number[TEMPERATURE];
}

/* Returns true if the run is cancelled. Checks once every few thousand elements, at some of the j.
 */
static bool is_cancelled(const struct loss_block *b, size_t j)
{
    const size_t pairs = SLICE_ELEMENTS / 4 / (b->elements_per_term[QUERY] + 16) + 1;
    return j % pairs == 0 && cancel_requested(b->cancel);
}

/* Returns |x|, even if the squares overflow. */
static loss_real norm(const loss_real *x, size_t n, const struct loss_control *cancel)
{
    loss_real most = 0;
    struct sum squares = {0};
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t c = s.first; c < s.end; c++)
            most = vmax(fabs(x[c]), most);
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t c = s.first; c < s.end; c++)
            sum_add(&squares, most > 0 ? x[c] / most * (x[c] / most) : x[c]);
    return most * sqrt(sum_value(&squares));
}

static void normalise(struct loss_block *b)
{
    const size_t n = b->elements_per_term[QUERY];
    for (size_t i = 0; i < b->n; i++) {
        const struct pair_state own = state_of(b, b->first + i);
        *own.scale = b->scale[i];
        for (int k = QUERY; k <= KEY; k++) {
            const loss_real *x = b->in[k] + i * n;
            own.norm[k] = vmax(norm(x, n, b->cancel), EPS);
            for (struct slice s = {0}; slice_next(&s, n, b->cancel);)
                for (size_t c = s.first; c < s.end; c++)
                    own.unit[k][c] = x[c] / own.norm[k];
        }
    }
}

static void compare(struct loss_block *b)
{
    const size_t pairs = loss_tensor_elements(&b->plan->terms);
    for (size_t i = b->first; i < b->first + b->n && !cancel_requested(b->cancel); i++) {
        const struct pair_state own = state_of(b, i);
        loss_real *const s = b->scratch;
        size_t top = 0;
        for (size_t j = 0; j < pairs && !is_cancelled(b, j); j++) {
            const struct pair_state other = state_of(b, j);
            s[j] = similarity(b, &own, &other);
            top = s[j] > s[top] ? j : top;
        }
        struct sum others = {0};
        for (size_t j = 0; j < pairs; j++)
            sum_add(&others, j == i ? 0 : vexp(s[j] - s[top]));
        *own.top = s[top];
        *own.others = sum_value(&others);
        *own.sum = *own.others + vexp(s[i] - s[top]);
    }
}

/* Returns dL/ds_ij = softmax_j(s_i)[j] - [i = j], times the scale of term i. 1 - softmax is
   computed from the other terms. */
static loss_real slope(const struct loss_block *b, const struct pair_state *query,
                       const struct pair_state *key, bool own)
{
    const loss_real part = own ? -*query->others : vexp(similarity(b, query, key) - *query->top);
    return part / *query->sum * *query->scale;
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

/* Computes the gradient with respect to query i (a sum over all keys) or key i (a sum over all
   queries). */
static void gradient(const struct loss_block *b, size_t i, int k, loss_real *grad)
{
    const size_t n = b->elements_per_term[QUERY], pairs = loss_tensor_elements(&b->plan->terms);
    const struct pair_state own = state_of(b, i);
    zero_all(grad, n, b->cancel);
    for (size_t j = 0; j < pairs && !is_cancelled(b, j); j++) {
        const struct pair_state other = state_of(b, j);
        const loss_real factor =
            k == QUERY ? slope(b, &own, &other, j == i) : slope(b, &other, &own, j == i);
        for (struct slice s = {0}; slice_next(&s, n, b->cancel);)
            for (size_t c = s.first; c < s.end; c++)
                grad[c] += factor * other.unit[1 - k][c] / b->number[TEMPERATURE];
    }
    normalize_backward(grad, own.unit[k], own.norm[k], n, b->cancel);
}

/* l_i = -log softmax_j(s_i)[i]. A query's gradient sums over all keys, a key's over all queries. */
static void info_nce_kernel(struct loss_block *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct pair_state own = state_of(b, b->first + i);
        const loss_real below = *own.top - similarity(b, &own, &own);
        b->term[i] = below == 0 ? vlog1p(*own.others) : below + vlog(*own.sum);
        for (int k = QUERY; k <= KEY; k++)
            if (b->grad[k])
                gradient(b, b->first + i, k, b->grad[k] + i * b->elements_per_term[QUERY]);
    }
}

static size_t scratch(const struct loss_plan *plan)
{
    return loss_tensor_elements(&plan->terms);
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
    const loss_real value = 1.3 + 50 / dimension, gradient = 1 + 105 / dimension;
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
                     "that of query", LOSS_REAL, .prediction = true, .differentiable = true},
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
            .kernel_f64 = info_nce_kernel,
            .prepare = {normalise, compare},
            .state_per_term = state_per_term,
            .scratch = scratch,
            .elements = elements,
        },
};
