/*
 * Reads and prints the values of options.
 */
#ifndef SERVER_CONFIG_OPTION_VALUES_H
#define SERVER_CONFIG_OPTION_VALUES_H

#include "config/option_table.h"

enum { OPTION_RANGE = 160, OPTION_DEFAULT = 64 }; /* sizes of the buffers for these texts */

/* Reads `text` into the option's field. Returns false if it is malformed or out of range. */
bool option_read_value(struct options *options, const struct option *option, const char *text);

/* Copies the value of `from`, an option of the same type with a size_t field. */
void option_copy_value(struct options *options, const struct option *option,
                       const struct option *from);

/* Prints a value in the form that option_read_value accepts. */
void option_print_value(FILE *out, const struct option *option, const struct options *options);

/* Writes a description of the values that an option accepts, such as "a whole number from 1 to 64".
   Returns `text`. */
const char *option_range(const struct option *option, char text[OPTION_RANGE]);

/* Writes the default value, which may depend on the machine. Returns `text`. */
const char *option_default(const struct option *option, char text[OPTION_DEFAULT]);

#endif
