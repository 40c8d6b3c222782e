/*
 * The files of web/, compiled into the program: what browsers load, and all that they can. A file
 * that is put into that folder is served as /assets/NAME; nothing is read from the file system at
 * run time.
 */
#ifndef SERVER_ROUTES_STATIC_FILES_H
#define SERVER_ROUTES_STATIC_FILES_H

#include <stddef.h>

#include "content/response.h"

struct asset {
    const char *name;         /* of the file, "icon.svg" */
    const char *content_type; /* by its ending */
    const char *etag; /* of its bytes. Weak, for it is the same whatever the content coding */
    const char *bytes, *end;
};

/* Made by embed.sh, in the order of the names. */
extern const struct asset assets[];
extern const size_t asset_count;

/* Answers with the file of that name and the headers of a page; with 304 where `if_none_match`, the
   request's header or NULL, has its tag; with 404, naming the nearest, where there is none. */
void asset_answer(const char *name, const char *if_none_match, struct response *reply);

/* Answers likewise with index.html, at a path where others than browsers get something else. */
void asset_answer_page(const char *if_none_match, struct response *reply);

#endif
