/* The head of a request; see head.h. */
#include "head.h"

#define EMPTY_LINES_MAX 4     /* before a request; RFC 9112 asks for one at least */
#define METHOD_BYTES_MAX 32   /* longer ones nobody knows */
#define VERSION_BYTES 11      /* two spaces, HTTP/1.1 and the CR */
#define CONTENT_DIGITS_MAX 18 /* of a length that fits int64_t */

/* ---- finding its end ---- */

/*
 * Whether what has come up to `size` is too long, whatever follows: 0, 414 or 431. The same for a
 * line that has ended as for one that is growing, so that the answer does not depend on the pieces
 * in which a head comes.
 */
static int check_size(const struct head_scan *scan, size_t size, const struct head_limits *limits)
{
    if (scan->fields_at == 0)
        return size - scan->line > METHOD_BYTES_MAX + limits->target_bytes + VERSION_BYTES ? 414
                                                                                           : 0;
    return size - scan->fields_at > limits->field_bytes + 2 ? 431 : 0;
}

/* A line has ended; length includes its end. Returns as head_scan. */
static int end_line(struct head_scan *scan, size_t length, const struct head_limits *limits)
{
    bool empty = length == 2;

    scan->line += length;
    scan->at = scan->line;
    if (scan->fields_at == 0 && empty) {
        scan->begin = scan->line;
        return ++scan->empty_lines > EMPTY_LINES_MAX ? 400 : HEAD_WANTS_MORE;
    }
    if (scan->fields_at == 0) {
        scan->fields_at = scan->line;
        return HEAD_WANTS_MORE;
    }
    if (empty)
        return 0;
    if (scan->line - scan->fields_at > limits->field_bytes || ++scan->lines > limits->fields)
        return 431;
    return HEAD_WANTS_MORE;
}

int head_scan(struct head_scan *scan, const char *data, size_t size,
              const struct head_limits *limits)
{
    int status = HEAD_WANTS_MORE;

    while (status == HEAD_WANTS_MORE) {
        const char *end = memchr(data + scan->at, '\n', size - scan->at);
        size_t seen = end == NULL ? size : (size_t)(end - data);
        int too_long = check_size(scan, seen, limits);
        if (too_long != 0)
            return too_long;
        if (end == NULL) {
            scan->at = size;
            return HEAD_WANTS_MORE;
        }
        if (seen == scan->line || end[-1] != '\r')
            return 400;
        status = end_line(scan, seen + 1 - scan->line, limits);
    }
    return status;
}

/* ---- the first line ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1" and "HTTP/1.0" are served. */
static int check_version(const char *at, size_t length)
{
    if (length != 8 || memcmp(at, "HTTP/", 5) != 0 || !is_digit(at[5]) || at[6] != '.' ||
        !is_digit(at[7]))
        return 400;
    return at[5] == '1' && at[7] <= '1' ? 0 : 505;
}

/* method SP target SP version. What could be read of it is in head even if it is refused. */
static int check_first_line(struct head *head, char *line, size_t length, struct text *target)
{
    char *end = line + length, *space = memchr(line, ' ', length);

    if (space == NULL || space == line || !text_is(line, (size_t)(space - line), BYTE_TOKEN))
        return 400;
    head->method = (struct text){line, (size_t)(space - line)};
    char *at = space + 1;
    space = memchr(at, ' ', (size_t)(end - at));
    if (space == NULL || space == at || !text_is(at, (size_t)(space - at), BYTE_TARGET))
        return 400;
    *target = (struct text){at, (size_t)(space - at)};
    return check_version(space + 1, (size_t)(end - space - 1));
}

/* ---- fields ---- */

/*
 * That the pieces are all there is, in the order and with the spaces that the RFC allows: nothing
 * may be in the head that the parser has seen otherwise. first is where the fields begin. Takes the
 * spaces around values away.
 */
static bool check_lines(struct pieces *pieces, char *first, const char *end)
{
    char *line = first;

    for (size_t i = 0; i < pieces->count; i++) {
        struct field *field = &pieces->fields[i];
        char *colon = field->name.at + field->name.length;
        char *line_end = memchr(line, '\r', (size_t)(end - line));

        if (field->name.at != line || field->name.length == 0 || *colon != ':' ||
            line_end == NULL || colon > line_end || line_end[1] != '\n' ||
            !text_is(field->name.at, field->name.length, BYTE_TOKEN))
            return false;
        struct text value = text_trim((struct text){colon + 1, (size_t)(line_end - colon - 1)});
        struct text seen = field->value.at == NULL ? value : text_trim(field->value);
        if (value.length != seen.length || (value.length > 0 && value.at != seen.at) ||
            !text_is(value.at, value.length, BYTE_VALUE))
            return false;
        field->value = value;
        line = line_end + 2;
    }
    return line + 2 == end;
}

/* What fields say that the server has to know. */
struct found {
    size_t hosts, lengths, codings;
    struct text host, length, coding;
    bool close, keep_alive;
};

static void find_options(struct found *found, struct text list)
{
    struct text option;

    while (text_next(&list, &option)) {
        found->close |= text_is_word(option, "close");
        found->keep_alive |= text_is_word(option, "keep-alive");
    }
}

static int find_field(struct head *head, struct found *found, const struct field *field)
{
    switch (field->name.length) {
    case 4:
        if (text_is_word(field->name, "host"))
            found->hosts++, found->host = field->value;
        break;
    case 6:
        if (!text_is_word(field->name, "expect"))
            break;
        head->expects = true;
        return text_is_word(field->value, "100-continue") ? 0 : 417;
    case 10:
        if (text_is_word(field->name, "connection"))
            find_options(found, field->value);
        break;
    case 14:
        if (text_is_word(field->name, "content-length"))
            found->lengths++, found->length = field->value;
        break;
    case 17:
        if (text_is_word(field->name, "transfer-encoding"))
            found->codings++, found->coding = field->value;
        break;
    }
    return 0;
}

/* Digits only, not too many: no sign, no list, no space. */
static int64_t read_length(struct text value)
{
    int64_t n = 0;

    if (value.length == 0 || value.length > CONTENT_DIGITS_MAX)
        return -1;
    for (size_t i = 0; i < value.length; i++) {
        if (!is_digit(value.at[i]))
            return -1;
        n = n * 10 + (value.at[i] - '0');
    }
    return n;
}

/* Where the body ends; two answers are one too many. */
static int check_framing(struct head *head, const struct found *found)
{
    if (found->lengths > 1 || found->codings > 1 || found->lengths + found->codings > 1)
        return 400;
    if (found->lengths == 1 && (head->content_length = read_length(found->length)) < 0)
        return 400;
    if (found->codings == 0)
        return 0;
    if (head->pieces.minor == 0)
        return 400;
    head->chunked = text_is_word(found->coding, "chunked");
    return head->chunked ? 0 : 501;
}

static int check_host(const struct head *head, const struct found *found)
{
    if (found->hosts > 1 || (found->hosts == 0 && head->pieces.minor > 0))
        return 400;
    if (found->hosts == 1 &&
        (found->host.length == 0 || !text_is(found->host.at, found->host.length, BYTE_HOST)))
        return 400;
    return 0;
}

/* The bytes of "http://" or "https://" at the beginning of a target; 0: of neither. */
static size_t scheme_length(const struct text *target)
{
    if (target->length >= 7 && strncasecmp(target->at, "http://", 7) == 0)
        return 7;
    return target->length >= 8 && strncasecmp(target->at, "https://", 8) == 0 ? 8 : 0;
}

/*
 * http://host/path, as clients of proxies send it: what follows the host is the target, and the
 * host must be that of the field, which only HTTP/1.0 may leave out.
 */
static int check_absolute(struct text *target, const struct found *found)
{
    size_t scheme = scheme_length(target);
    char *host = target->at + scheme, *end = target->at + target->length, *path = host;

    while (path < end && *path != '/' && *path != '?')
        path++;
    struct text named = {host, (size_t)(path - host)};
    if (scheme == 0 || named.length == 0 || !text_is(named.at, named.length, BYTE_HOST))
        return 400;
    if (found->hosts > 0 && (found->host.length != named.length ||
                             strncasecmp(found->host.at, named.at, named.length) != 0))
        return 400;
    if (path == end)
        path = end = host; /* the slash before the host does for the path; */
    if (path == host || *path == '?')
        *--path = '/'; /* and before a query, the host's last byte has had its use */
    *target = (struct text){path, (size_t)(end - path)};
    return 0;
}

static int check_target(struct head *head, const struct found *found)
{
    struct text *target = &head->pieces.target;

    if (target->at[0] == '/')
        return 0;
    if (text_equal(*target, "*", 1))
        return text_equal(head->method, "OPTIONS", 7) ? 0 : 400;
    return check_absolute(target, found);
}

static int check_fields(struct head *head)
{
    struct found found = {0};
    int expectation = 0, status;

    for (size_t i = 0; i < head->pieces.count; i++) {
        int refused = find_field(head, &found, &head->pieces.fields[i]);
        if (refused != 0)
            expectation = refused;
    }
    head->keep = !found.close && (head->pieces.minor == 1 || found.keep_alive);
    if ((status = check_host(head, &found)) != 0 || (status = check_framing(head, &found)) != 0 ||
        (status = check_target(head, &found)) != 0)
        return status;
    if (head->pieces.minor == 0 || (head->content_length <= 0 && !head->chunked))
        head->expects = false;
    return expectation;
}

static int cut(struct head *head, char *begin, size_t size)
{
    switch (parser_cut(&head->pieces, begin, size)) {
    case PARSED_WHOLE:
        return 0;
    case PARSED_UNKNOWN_METHOD:
        return 501;
    case PARSED_TOO_MANY_FIELDS:
        return 431;
    default:
        return 400;
    }
}

/* In place: behind every text is a byte that has had its use. */
static void terminate(struct text *text)
{
    if (text->at != NULL)
        text->at[text->length] = 0;
}

/* Returns as head_read; target is what is to be its target, unless it is accepted. */
static int understand(struct head *head, const struct head_scan *scan, char *data,
                      const struct head_limits *limits, struct text *target)
{
    char *begin = data + scan->begin, *end = data + scan->at;
    int status = check_first_line(head, begin, scan->fields_at - scan->begin - 2, target);

    if (target->length > limits->target_bytes)
        return 414;
    if (status != 0)
        return status;
    if (text_equal(head->method, "CONNECT", 7))
        return 501;
    if ((status = cut(head, begin, scan->at - scan->begin)) != 0)
        return status;
    if (head->pieces.target.at != target->at || head->pieces.target.length != target->length ||
        !check_lines(&head->pieces, data + scan->fields_at, end))
        return 400;
    return check_fields(head);
}

int head_read(struct head *head, const struct head_scan *scan, char *data,
              const struct head_limits *limits)
{
    struct text target = {NULL, 0};

    head->method = (struct text){NULL, 0};
    head->content_length = -1;
    head->chunked = head->expects = head->keep = false;
    int status = understand(head, scan, data, limits, &target);
    if (status != 0) {
        head->pieces.target = target;
        head->pieces.count = 0;
    }
    terminate(&head->method);
    terminate(&head->pieces.target);
    for (size_t i = 0; i < head->pieces.count; i++) {
        terminate(&head->pieces.fields[i].name);
        terminate(&head->pieces.fields[i].value);
    }
    return status;
}
