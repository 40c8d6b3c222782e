/*
 * What the reasons are called.
 */
#include "observe/rejections.h"

const char *const reject_names[REJECT_COUNT] = {
    [REJECT_MALFORMED] = "malformed",
    [REJECT_HOST] = "host",
    [REJECT_ORIGIN] = "origin",
    [REJECT_CREDENTIALS] = "credentials",
    [REJECT_URL_SIZE] = "url_size",
    [REJECT_HEADER_SIZE] = "header_size",
    [REJECT_BODY_SIZE] = "body_size",
    [REJECT_EXPANDED_SIZE] = "expanded_size",
    [REJECT_MEMORY] = "memory",
    [REJECT_MEMORY_NEVER] = "memory_never",
    [REJECT_QUEUE] = "queue",
    [REJECT_WORK] = "work",
    [REJECT_COMPUTE_TIME] = "compute_time",
    [REJECT_RATE] = "rate",
    [REJECT_CONNECTIONS_PER_ADDRESS] = "connections_per_address",
    [REJECT_HEADER_TIME] = "header_time",
    [REJECT_BODY_RATE] = "body_rate",
    [REJECT_ANSWER_RATE] = "answer_rate",
    [REJECT_MEMORY_HOLD] = "memory_hold",
    [REJECT_DRAINING] = "draining",
    [REJECT_GONE] = "gone",
};
