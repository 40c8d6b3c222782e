/*
 * The error with which a request is rejected.
 */
#ifndef SERVER_UTIL_HTTP_ERROR_H
#define SERVER_UTIL_HTTP_ERROR_H

struct http_error {
    int status;         /* HTTP status; 0: no error */
    const char *detail; /* static text */
};

#endif
