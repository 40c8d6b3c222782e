/* Evaluations of which lossctl eval over shards must have the bits, however they are split. */
#ifndef TESTS_SHARD_SETTINGS_H
#define TESTS_SHARD_SETTINGS_H

#include "lossctl_run.h"
#include "shard_files.h"

enum { SHARD_SETTINGS = 5, SHARD_SPLITS = 3 };

struct shard_setting {
    const char *options; /* with the loss */
    const struct shard_tensor *input, *target;
    bool weighted; /* has sample weights */
};
extern const struct shard_setting shard_settings[SHARD_SETTINGS];
/* How input, target and weights are split. */
extern const struct shard_split shard_splits[SHARD_SPLITS][3];

/* The loss, as lossctl prints it, and the gradient of the whole batch. */
extern char shard_whole_loss[LOSSCTL_TEXT], shard_whole_grad[SHARD_ROWS * SHARD_COLUMNS * 8];
extern size_t shard_whole_grad_len;

/* Writes a batch to x.npy, y.npy, w.npy and, for class weights, c.npy, and evaluates it whole. */
void shard_evaluate_whole(const struct shard_setting *setting);
/* Writes the batch as shards: x-0.npy and so on. Removes the folders g and h. */
void shard_write_setting(const struct shard_setting *setting, const struct shard_split split[3]);
/* Checks that the files of a folder are the gradient of the whole batch, one for each shard. */
void shard_check_gradients(const char *folder, const struct shard_split *split);

#endif
