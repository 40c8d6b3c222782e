/*
 * The server: everything between reading the options and exiting.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "config/options.h"

enum { SERVER_MESSAGE = 640 }; /* size of an error message, including the NUL */

/* Serves until SIGTERM or SIGINT, then shuts down gracefully and returns true. If the server cannot
   start, returns false and writes a one-line reason to `message`. */
bool server_run(const struct options *options, char message[SERVER_MESSAGE]);

#endif
