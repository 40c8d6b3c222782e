/*
 * Answers that say no.
 */
#include "http/http_error.h"

#include <stdarg.h>
#include <stdio.h>

void refuse(struct reply *reply, int status, const char *format, ...)
{
    struct loss_error error;
    char detail[sizeof error.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    loss_fail(&error, LOSS_MALFORMED, "%s",
              detail); /* what kind of trouble it is says the status alone */
    reply_problem_status(reply, &error, status);
}
