/*
 * What a file holds, told by the ending of its name.
 */
#ifndef RN_HTTP_TYPES_H
#define RN_HTTP_TYPES_H

/* A Content-Type; "application/octet-stream" for an ending that is not known. Never NULL. */
const char *type_of(const char *path);

#endif
