/*
 * The syntax of topics and patterns. See topic.h.
 *
 * One pass checks and hashes, because every publish makes it.
 */
#include "topic.h"

#include <runnel/error.h>
#include <runnel/pubsub.h>

#include <string.h>

#define HASH_START 0xcbf29ce484222325u /* FNV-1a */
#define HASH_FACTOR 0x100000001b3u

/* What a character means for the syntax. */
enum kind { KIND_TEXT, KIND_DOT, KIND_WILD, KIND_END, KIND_BAD };

static const unsigned char kinds[256] = {
    [1 ... ' '] = KIND_BAD, [0x7f] = KIND_BAD, ['.'] = KIND_DOT,
    ['*'] = KIND_WILD,      ['>'] = KIND_WILD, [0] = KIND_END,
};

static int wrong(const char *text, bool pattern, const char *why)
{
    return rn_error_with(-EINVAL, "pubsub: %s \"%.100s\": %s", pattern ? "pattern" : "topic", text,
                         why);
}

/* A wildcard at `at`: alone in its level, and > in the last. */
static int check_wildcard(const char *text, size_t at, size_t level_start)
{
    char next = text[at + 1];

    if (at != level_start || (next != '.' && next != '\0'))
        return wrong(text, true, "a wildcard stands alone in its level");
    if (text[at] == '>' && next != '\0')
        return wrong(text, true, "'>' is allowed as the last level only");
    return 0;
}

/* The sentence for what is wrong at `at`. */
static int complain(const char *text, bool pattern, enum kind kind)
{
    if (kind == KIND_WILD)
        return wrong(text, pattern, "wildcards are for patterns");
    if (kind == KIND_BAD)
        return wrong(text, pattern, "it has a space or a control character");
    return wrong(text, pattern, "it has an empty level");
}

static int check_sizes(struct topic_text *out, const char *text, bool pattern, unsigned levels)
{
    if (out->length > RN_TOPIC_BYTES_MAX)
        return wrong(text, pattern, "it is longer than 1023 bytes");
    if (levels > TOPIC_LEVELS_MAX)
        return wrong(text, pattern, "it has more than 64 levels");
    return 0;
}

int topic_read(struct topic_text *out, const char *text, bool pattern)
{
    uint64_t hash = HASH_START;
    size_t at = 0, level_start = 0;
    unsigned levels = 1;

    if (text == NULL)
        return rn_error_with(-EINVAL, "pubsub: the %s is NULL", pattern ? "pattern" : "topic");
    out->text = text;
    out->wild = false;
    for (;; at++) {
        enum kind kind = kinds[(unsigned char)text[at]];
        bool ends_level = kind == KIND_DOT || kind == KIND_END;

        if (kind == KIND_BAD || (kind == KIND_WILD && !pattern) ||
            (ends_level && at == level_start))
            return complain(text, pattern, kind);
        if (kind == KIND_WILD && check_wildcard(text, at, level_start) != 0)
            return -EINVAL;
        if (kind == KIND_END)
            break;
        out->wild |= kind == KIND_WILD;
        hash = (hash ^ (unsigned char)text[at]) * HASH_FACTOR;
        if (kind == KIND_DOT) {
            levels++;
            level_start = at + 1;
        }
    }
    out->length = at;
    out->hash = hash ^ hash >> 29;
    return check_sizes(out, text, pattern, levels);
}

static size_t level_length(const char *level)
{
    return strcspn(level, ".");
}

/* Whether the pattern's rest matches the topic's; both are well formed. */
static bool matches(const char *pattern, const char *topic)
{
    for (;;) {
        size_t length = level_length(topic);

        if (*pattern == '>')
            return true;
        if (*pattern == '*')
            pattern++;
        else if (strncmp(pattern, topic, length) == 0)
            pattern += length;
        else
            return false;
        topic += length;
        if (*pattern != *topic)
            return false;
        if (*topic == '\0')
            return true;
        pattern++, topic++;
    }
}

bool rn_topic_matches(const char *pattern, const char *topic)
{
    struct topic_text p, t;

    return topic_read(&p, pattern, true) == 0 && topic_read(&t, topic, false) == 0 &&
           matches(pattern, topic);
}
