/*
 * What each loss has done since the server was started, for whoever asked in whatever protocol.
 */
#ifndef SERVER_STATISTICS_H
#define SERVER_STATISTICS_H

#include "oip.h"
#include "rejects.h"

struct statistics;

/* NULL where memory has run out. */
struct statistics *statistics_new(void);
void statistics_free(struct statistics *statistics);

/* Adds an evaluation that has just ended: a reply of the loss of that name, and for how long it had waited to be computed. A
   name that is no loss's is let be. Any thread may call it. */
void statistics_add(struct statistics *statistics, const char *loss, const struct reply *reply, uint64_t queue_ns,
                    uint64_t duration_ns);

/* All of it at one moment, an element for each loss in the order of loss_at; to be freed. NULL where memory has run out. */
struct oip_statistics *statistics_copy(struct statistics *statistics);

/* What was refused, to be counted in and read by any thread; lives as long as the statistics. */
struct rejects *statistics_rejects(struct statistics *statistics);

#endif
