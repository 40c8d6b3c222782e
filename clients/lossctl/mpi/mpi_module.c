/* A module: see mpi_module.h. Compiled once for each implementation of MPI. */
#include "mpi/mpi_module.h"
#include "loss.h"

#include <mpi.h>
#include <stdint.h>

static MPI_Request request = MPI_REQUEST_NULL; /* the reduction or broadcast in progress */
static MPI_Datatype type = MPI_DATATYPE_NULL;  /* of its elements */
static MPI_Op operation = MPI_OP_NULL;         /* of a reduction */
static mpi_combine *combine_values;            /* what `operation` calls */
static size_t value_size;                      /* bytes of a value of a reduction */

static bool start(int *rank, int *size)
{
    int level = MPI_THREAD_SINGLE;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, size);
    return level >= MPI_THREAD_FUNNELED;
}

static int unite_on_node(unsigned char *bits, int len)
{
    MPI_Comm node;
    int size = 1;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_size(node, &size);
    MPI_Allreduce(MPI_IN_PLACE, bits, len, MPI_BYTE, MPI_BOR, node);
    MPI_Comm_free(&node);
    return size;
}

/* Combines `count` values: the function that MPI calls for `operation`. */
static void combine_all(void *from, void *into, int *count, MPI_Datatype *of)
{
    (void)of; /* is `type` */
    for (size_t i = 0; i < (size_t)*count; i++)
        combine_values((char *)into + i * value_size, (char *)from + i * value_size);
}

static void begin_reduce(void *value, size_t size, mpi_combine *combine)
{
    combine_values = combine;
    value_size = size;
    MPI_Type_contiguous((int)size, MPI_BYTE, &type);
    MPI_Type_commit(&type);
    MPI_Op_create(combine_all, 1, &operation);
    MPI_Iallreduce(MPI_IN_PLACE, value, 1, type, operation, MPI_COMM_WORLD, &request);
}

/* MPI counts elements with an int, so the elements are blocks. Their remainder is sent first, by a
   broadcast that blocks. */
static void begin_broadcast(void *bytes, size_t len)
{
    enum { BLOCK = 1 << 20 };
    MPI_Type_contiguous(BLOCK, MPI_BYTE, &type);
    MPI_Type_commit(&type);
    char *const rest = (char *)bytes + len / BLOCK * BLOCK;
    MPI_Bcast(rest, (int)(len % BLOCK), MPI_BYTE, 0, MPI_COMM_WORLD);
    MPI_Ibcast(bytes, (int)(len / BLOCK), type, 0, MPI_COMM_WORLD, &request);
}

static bool is_done(void)
{
    int done = 0;
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (!done)
        return false;
    if (type != MPI_DATATYPE_NULL)
        MPI_Type_free(&type);
    if (operation != MPI_OP_NULL)
        MPI_Op_free(&operation);
    return true;
}

static void abort_all(int code)
{
    MPI_Abort(MPI_COMM_WORLD, code);
}

static void end(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
}

extern const struct mpi_module MPI_MODULE_TABLE;
__attribute__((visibility("default"))) const struct mpi_module MPI_MODULE_TABLE = {
    .version = LOSS_VERSION,
    .start = start,
    .unite_on_node = unite_on_node,
    .begin_reduce = begin_reduce,
    .begin_broadcast = begin_broadcast,
    .is_done = is_done,
    .abort = abort_all,
    .end = end,
};
