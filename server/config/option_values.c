/*
 * Reads and prints the values of options.
 */
#include "config/option_values.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "system/cpus.h"
#include "system/memory.h"
#include "util/duration.h"

enum { KILO = 1000, KIBI = 1024 };

static void *field_of(struct options *options, const struct option *option)
{
    return (char *)options + option->offset;
}

static const void *const_field_of(const struct options *options, const struct option *option)
{
    return (const char *)options + option->offset;
}

static bool is_in_range(const struct option *option, uint64_t number)
{
    return number >= option->min && number <= option->max;
}

/* ---- Reading ---- */

/* Reads digits and, unless `kilo` is 0, an optional suffix that stands for a power of `kilo`.
   Returns false if the text has another form or the number overflows. */
static bool read_number(const char *text, uint64_t kilo, uint64_t *number)
{
    static const char suffixes[] = "kmg";
    if (!isdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    unsigned long long digits = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    *number = digits;
    const char *suffix = kilo > 0 && *end ? strchr(suffixes, tolower((unsigned char)*end)) : NULL;
    if (suffix) {
        for (const char *power = suffixes; power <= suffix; power++)
            if (__builtin_mul_overflow(*number, kilo, number))
                return false;
        end++;
        if (kilo == KIBI && strcmp(end, "iB") == 0)
            end += 2;
    }
    return *end == '\0';
}

/* Reads permissions in chmod's octal form. */
static bool read_mode(const struct option *option, const char *text, int *mode)
{
    const size_t digits = strspn(text, "01234567");
    const unsigned long number =
        digits > 0 && digits <= 4 && text[digits] == '\0' ? strtoul(text, NULL, 8) : ULONG_MAX;
    if (number > option->max)
        return false;
    *mode = (int)number;
    return true;
}

static bool read_addresses(const struct option *option, const char *text, struct address_list *list)
{
    return address_list_parse(text, list) && list->count >= option->min;
}

static bool read_choice(const struct option *option, const char *text, int *choice)
{
    for (int i = 0; option->names[i]; i++) {
        if (strcmp(option->names[i], text) == 0) {
            *choice = i;
            return true;
        }
    }
    return false;
}

static bool read_switch(const char *text, bool *on)
{
    *on = strcmp(text, "on") == 0;
    return *on || strcmp(text, "off") == 0;
}

static bool read_size(const struct option *option, const char *text, uint64_t kilo, size_t *size)
{
    uint64_t number;
    if (!read_number(text, kilo, &number) || !is_in_range(option, number))
        return false;
    *size = (size_t)number;
    return true;
}

bool option_read_value(struct options *options, const struct option *option, const char *text)
{
    void *const field = field_of(options, option);
    uint64_t number = 0;
    switch (option->type) {
    case OPTION_ADDRESSES:
        return read_addresses(option, text, field);
    case OPTION_MODE:
        return read_mode(option, text, field);
    case OPTION_CHOICE:
        return read_choice(option, text, field);
    case OPTION_SWITCH:
        return read_switch(text, field);
    case OPTION_TEXT:
        return snprintf(field, OPTION_PATH, "%s", text) < OPTION_PATH;
    case OPTION_BYTES:
        return read_size(option, text, KIBI, field);
    case OPTION_AMOUNT:
        return read_size(option, text, KILO, field);
    case OPTION_INTEGER:
        if (!read_number(text, 0, &number) || !is_in_range(option, number))
            return false;
        *(int *)field = (int)number;
        return true;
    case OPTION_SECONDS:
        if (!duration_read(text, &number) || !is_in_range(option, number))
            return false;
        *(int64_t *)field = (int64_t)number;
        return true;
    }
    return false;
}

void option_copy_value(struct options *options, const struct option *option,
                       const struct option *from)
{
    *(size_t *)field_of(options, option) = *(const size_t *)const_field_of(options, from);
}

/* ---- Printing ---- */

static void print_addresses(FILE *out, const struct address_list *list)
{
    char text[ADDRESS_TEXT];
    for (size_t i = 0; i < list->count; i++)
        fprintf(out, "%s%s", i > 0 ? ", " : "", address_text(&list->at[i], text));
}

void option_print_value(FILE *out, const struct option *option, const struct options *options)
{
    const void *const field = const_field_of(options, option);
    switch (option->type) {
    case OPTION_ADDRESSES:
        print_addresses(out, field);
        break;
    case OPTION_MODE:
        fprintf(out, "%o", (unsigned)*(const int *)field);
        break;
    case OPTION_INTEGER:
        fprintf(out, "%d", *(const int *)field);
        break;
    case OPTION_BYTES:
    case OPTION_AMOUNT:
        fprintf(out, "%zu", *(const size_t *)field);
        break;
    case OPTION_SECONDS:
        fprintf(out, "%.10g", (double)*(const int64_t *)field / 1000);
        break;
    case OPTION_CHOICE:
        fprintf(out, "%s", option->names[*(const int *)field]);
        break;
    case OPTION_SWITCH:
        fprintf(out, "%s", *(const bool *)field ? "on" : "off");
        break;
    case OPTION_TEXT:
        fprintf(out, "%s", (const char *)field);
        break;
    }
}

/* ---- Ranges and defaults ---- */

/* Writes a number in the largest of the units k, M and G (powers of `step`) that divides it. */
static const char *in_units(uint64_t number, uint64_t step, char *text, size_t size)
{
    static const char *const units[] = {"", "k", "M", "G"};
    size_t unit = 0;
    for (; number != 0 && number % step == 0 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        number /= step;
    snprintf(text, size, "%llu%s", (unsigned long long)number, units[unit]);
    return text;
}

static void list_choices(const char *const names[], char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0, len = 0; names[i] && len < size; i++) {
        const char *const before_last = names[i + 1] ? ", " : " or ";
        len +=
            (size_t)snprintf(text + len, size - len, "%s%s", i == 0 ? "" : before_last, names[i]);
    }
}

const char *option_range(const struct option *option, char text[OPTION_RANGE])
{
    char min_text[32], max_text[32];
    const unsigned long long min = option->min, max = option->max;
    switch (option->type) {
    case OPTION_ADDRESSES:
        snprintf(text, OPTION_RANGE,
                 "ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080, or unix:/PATH; up to %llu, "
                 "separated by commas",
                 max);
        break;
    case OPTION_INTEGER:
        snprintf(text, OPTION_RANGE, "a whole number from %llu to %llu", min, max);
        break;
    case OPTION_MODE:
        snprintf(text, OPTION_RANGE, "permissions in octal digits, such as 660, at most %llo", max);
        break;
    case OPTION_BYTES:
        snprintf(text, OPTION_RANGE,
                 "a number of bytes such as 1048576, 512k, 16M or 1G, from %s to %s",
                 in_units(min, KIBI, min_text, sizeof min_text),
                 in_units(max, KIBI, max_text, sizeof max_text));
        break;
    case OPTION_AMOUNT:
        snprintf(text, OPTION_RANGE, "a whole number such as 1000000, 50M or 2G, from %s to %s",
                 in_units(min, KILO, min_text, sizeof min_text),
                 in_units(max, KILO, max_text, sizeof max_text));
        break;
    case OPTION_SECONDS:
        snprintf(
            text, OPTION_RANGE,
            "a number of seconds such as 5 or 0.25, from %g to %g, with at most three decimals",
            (double)min / 1000, (double)max / 1000);
        break;
    case OPTION_CHOICE:
        list_choices(option->names, text, OPTION_RANGE);
        break;
    case OPTION_SWITCH:
        list_choices((const char *const[]){"on", "off", NULL}, text, OPTION_RANGE);
        break;
    case OPTION_TEXT:
        snprintf(text, OPTION_RANGE, "a text of at most %d bytes", OPTION_PATH - 1);
        break;
    }
    return text;
}

static uint64_t clamp(const struct option *option, uint64_t number)
{
    if (number < option->min)
        return option->min;
    return number > option->max ? option->max : number;
}

const char *option_default(const struct option *option, char text[OPTION_DEFAULT])
{
    if (option->fallback)
        snprintf(text, OPTION_DEFAULT, "%s", option->fallback);
    else if (option->type == OPTION_BYTES)
        snprintf(text, OPTION_DEFAULT, "%llu",
                 (unsigned long long)clamp(option, memory_allowed() / 2));
    else
        snprintf(text, OPTION_DEFAULT, "%llu",
                 (unsigned long long)clamp(option, (uint64_t)cpus_allowed()));
    return text;
}
