/* Gradients of tensors that terms share: the engine leaves one for each term, and here those of one element are summed. */
#include "parallel.h"
#include "run.h"

struct fold {
    const struct run *run;
    const struct derivative *derivative;
};

/* Sums the derivatives of all terms that share element `at`. They stand in `summed`, at multiples of the gaps that
   each dimension of the terms makes there. */
static void fold_element(void *context, size_t at, int thread)
{
    (void)thread;
    const struct fold *fold = context;
    const struct walk *out = &fold->derivative->walk;
    const size_t len = out->len;
    size_t term = 0, repeats = 1, gap[LOSS_MAX_RANK], gap_all = 1, within = 0;
    for (int d = out->rank - 1; d >= 0; d--) {
        gap[d] = gap_all;
        gap_all *= out->dim[d];
    }
    /* The coordinates of the element: a dimension that it runs along fixes one of the terms'; others are summed over. */
    for (int d = 0; d < out->rank; d++) {
        if (out->step[d] == 0)
            repeats *= out->dim[d];
        else
            term += at / (size_t)out->step[d] % out->dim[d] * gap[d];
    }
    for (int i = 0; i < out->row_rank; i++)
        within = within * out->row_dim[i] + at / (size_t)out->row_step[i] % out->row_dim[i];

    struct sum sum = {0};
    for (size_t r = 0; r < repeats; r++) {
        size_t rest = r, shared = term;
        for (int d = out->rank - 1; d >= 0; d--)
            if (out->step[d] == 0) {
                shared += rest % out->dim[d] * gap[d];
                rest /= out->dim[d];
            }
        sum_add(&sum, fold->derivative->summed[shared * len + within]);
    }
    const struct walk alone = walk_number();
    const struct loss_tensor *grad = fold->derivative->into;
    walk_write(&alone, (char *)grad->data + at * loss_dtype_size(grad->dtype), grad->dtype, 0, 1, &(real){sum_value(&sum)});
}

void fold_gradients(struct run *run, int threads)
{
    for (int i = 0; i < run->derivatives; i++)
        if (run->derivative[i].summed)
            parallel_for(loss_tensor_elements(run->derivative[i].into), threads, fold_element,
                         &(struct fold){run, &run->derivative[i]});
}
