/*
 * What is known of a request once it is over.
 */
#include "observe/request_record.h"

const char *const phase_names[PHASE_COUNT] = {"receive", "queue",  "decode",
                                              "compute", "encode", "send"};
const char *const protocol_names[PROTOCOL_COUNT] = {"v1", "v2"};
const char record_several[] = "several";

const char *record_loss(const struct record *record)
{
    return record->loss ? record->loss->name : record_several;
}
