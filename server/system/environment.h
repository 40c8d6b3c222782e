/*
 * Reads environment variables.
 */
#ifndef SERVER_SYSTEM_ENVIRONMENT_H
#define SERVER_SYSTEM_ENVIRONMENT_H

/* Returns the decimal number in a variable, or -1 if it is not set or not a number. */
long environment_number(const char *name);

#endif
