/*
 * What is known of a request once it is over.
 */
#include "observe/request_record.h"

#include <string.h>

#include "routes/router.h"

const char *const phase_names[PHASE_COUNT] = {"receive", "queue",  "decode",
                                              "compute", "encode", "send"};
const char *const protocol_names[PROTOCOL_COUNT] = {"v1", "v2"};
const char record_several[] = "several";

bool record_is_evaluation(const struct record *record)
{
    return record->route && record->route->possible &&
           (record->loss || !strstr(record->route->path, "{loss}"));
}

const char *record_loss(const struct record *record)
{
    return record->loss ? record->loss->name : record_several;
}

enum protocol record_protocol(const struct record *record)
{
    return route_errors(record->route->path) == REPLY_OIP ? PROTOCOL_V2 : PROTOCOL_V1;
}
