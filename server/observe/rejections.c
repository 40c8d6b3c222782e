/*
 * Label values of the reasons for rejections.
 */
#include "observe/rejections.h"

const char *const rejection_names[REJECTION_COUNT] = {
    [REJECTION_MALFORMED] = "malformed",
    [REJECTION_HOST] = "host",
    [REJECTION_ORIGIN] = "origin",
    [REJECTION_CREDENTIALS] = "credentials",
    [REJECTION_URL_SIZE] = "url_size",
    [REJECTION_HEADER_SIZE] = "header_size",
    [REJECTION_BODY_SIZE] = "body_size",
    [REJECTION_EXPANDED_SIZE] = "expanded_size",
    [REJECTION_MEMORY] = "memory",
    [REJECTION_MEMORY_NEVER] = "memory_never",
    [REJECTION_QUEUE] = "queue",
    [REJECTION_WORK] = "work",
    [REJECTION_COMPUTE_TIME] = "compute_time",
    [REJECTION_RATE] = "rate",
    [REJECTION_CONNECTIONS_PER_ADDRESS] = "connections_per_address",
    [REJECTION_HEADER_TIME] = "header_time",
    [REJECTION_BODY_RATE] = "body_rate",
    [REJECTION_RESPONSE_RATE] = "answer_rate",
    [REJECTION_MEMORY_HOLD] = "memory_hold",
    [REJECTION_DRAINING] = "draining",
    [REJECTION_GONE] = "gone",
};
