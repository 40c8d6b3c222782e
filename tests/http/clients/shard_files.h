/* Batches for lossctl eval, whole and as shards, in the folder of the test. */
#ifndef TESTS_SHARD_FILES_H
#define TESTS_SHARD_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHARD_ROWS = 1000, SHARD_COLUMNS = 6, MAX_SHARDS = 8 };

/* What the numbers of a tensor are. */
enum shard_numbers { NUMBERS_REAL, NUMBERS_PROBABILITY, NUMBERS_CLASS };

/* A tensor of SHARD_ROWS rows. */
struct shard_tensor {
    const char *name;  /* of its files: NAME.npy is the whole, NAME-0.npy and so on the shards */
    const char *descr; /* its dtype in NumPy's notation: "<f4", "<f8" or "<i8" */
    bool row;          /* each row has SHARD_COLUMNS numbers, else one */
    enum shard_numbers numbers;
};

/* How many rows each shard has, SHARD_ROWS in all. */
struct shard_split {
    int count;
    size_t rows[MAX_SHARDS];
};

/* Returns the number of bytes of a row. */
size_t shard_row_size(const struct shard_tensor *tensor);
/* Writes random numbers, the same for the same name, to NAME.npy. */
void shard_write_whole(const struct shard_tensor *tensor);
/* Writes NAME-0.npy and so on. */
void shard_write_split(const struct shard_tensor *tensor, const struct shard_split *split);
/* Writes rows [first, end) to a .npy file. Returns the number of bytes of its header. */
size_t shard_write_rows(const struct shard_tensor *tensor, size_t first, size_t end,
                        const char *file);
/* Reads the data of a .npy file, without its header. Returns the number of bytes. */
size_t shard_read_data(const char *file, char *bytes, size_t size);

#endif
