/*
 * A completed request.
 */
#include "observe/request_record.h"

const char *const phase_names[PHASE_COUNT] = {"receive", "queue",  "decode",
                                              "compute", "encode", "send"};
const char *const protocol_names[PROTOCOL_COUNT] = {"v1", "v2"};
const char request_record_several[] = "several";

const char *request_record_loss(const struct request_record *record)
{
    return record->loss ? record->loss->name : request_record_several;
}
