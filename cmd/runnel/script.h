/*
 * The script that --shell runs: the command's words joined, each {} replaced by a reference to
 * "$1".
 */
#ifndef CMD_SCRIPT_H
#define CMD_SCRIPT_H

#include <stddef.h>

/*
 * Returns the script, freed by the caller, or NULL when out of memory. Without any {} it ends in
 * "$1".
 */
char *script_new(char *const *words, size_t count);

#endif
