/* Sums under a mutex: it is held for some ten nanoseconds. */
#include "statistics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loss.h"

struct statistics {
    pthread_mutex_t mutex;
    struct rejects rejects;
    struct oip_statistics model[]; /* in the order of loss_at */
};

struct statistics *statistics_new(void)
{
    struct statistics *statistics = calloc(1, sizeof *statistics + loss_count() * sizeof *statistics->model);
    if (statistics)
        pthread_mutex_init(&statistics->mutex, NULL);
    return statistics;
}

void statistics_free(struct statistics *statistics)
{
    if (statistics)
        pthread_mutex_destroy(&statistics->mutex);
    free(statistics);
}

static void add(struct oip_duration *to, uint64_t ns)
{
    to->count++;
    to->ns += ns;
}

static uint64_t nanoseconds(double ms)
{
    return ms > 0 ? (uint64_t)(ms * 1e6) : 0;
}

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static size_t place_of(const char *name)
{
    const struct loss_descriptor *const loss = loss_find(name);
    size_t i = 0;
    while (i < loss_count() && loss_at(i) != loss)
        i++;
    return i;
}

void statistics_add(struct statistics *statistics, const char *loss, const struct reply *reply, uint64_t queue_ns,
                    uint64_t duration_ns)
{
    const size_t place = place_of(loss);
    if (place == loss_count())
        return;
    const uint64_t now = unix_ms();
    struct oip_statistics *const model = &statistics->model[place];
    pthread_mutex_lock(&statistics->mutex);
    if (reply->status == reply_status(LOSS_OK)) {
        model->last_ms = now;
        add(&model->success, duration_ns);
        add(&model->input, nanoseconds(reply->decode_ms));
        add(&model->infer, nanoseconds(reply->compute_ms));
        add(&model->output, nanoseconds(reply->encode_ms));
    } else {
        add(&model->fail, duration_ns);
    }
    add(&model->queue, queue_ns);
    pthread_mutex_unlock(&statistics->mutex);
}

struct oip_statistics *statistics_copy(struct statistics *statistics)
{
    const size_t size = loss_count() * sizeof *statistics->model;
    struct oip_statistics *copy = malloc(size);
    if (!copy)
        return NULL;
    pthread_mutex_lock(&statistics->mutex);
    memcpy(copy, statistics->model, size);
    pthread_mutex_unlock(&statistics->mutex);
    return copy;
}

struct rejects *statistics_rejects(struct statistics *statistics)
{
    return &statistics->rejects;
}
