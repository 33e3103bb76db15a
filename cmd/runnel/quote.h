/*
 * Text made safe: words for a shell, inputs for a message.
 */
#ifndef CMD_QUOTE_H
#define CMD_QUOTE_H

#include <stddef.h>

/* How many bytes quote_shell may need for word, its end included. */
size_t quote_shell_room(const char *word);

/*
 * Writes word so that a shell reads it back as one word, and returns the end of what it wrote.
 * Plain words stay as they are; one with control characters is written as $'...', so that it never
 * breaks a line.
 */
char *quote_shell(char *to, const char *word);

/*
 * The same for the first word of a command, which a shell must not take for an assignment (A=1) or
 * for one of its own words (if).
 */
char *quote_shell_command(char *to, const char *word);

/*
 * Writes bytes in double quotes for people, with control characters and broken UTF-8 escaped, cut
 * with ... where room (at least 16) ends. Always ends with NUL.
 */
void quote_message(char *to, size_t room, const char *bytes, size_t length);

#endif
