/*
 * What is known of a request once it is over.
 */
#include "record.h"

const char *const phase_names[PHASE_COUNT] = {"receive", "queue", "decode", "compute", "encode", "send"};
const char *const protocol_names[PROTOCOL_COUNT] = {"v1", "v2"};

bool record_is_evaluation(const struct record *record)
{
    return record->loss && record->route && record->route->possible;
}

enum protocol record_protocol(const struct record *record)
{
    return route_errors(record->route->path) == REPLY_OIP ? PROTOCOL_V2 : PROTOCOL_V1;
}
