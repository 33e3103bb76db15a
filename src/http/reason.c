/* The words of statuses, as RFC 9110 and its registry have them. */
#include <runnel/http_response.h>
#include <runnel/http_server.h>

static const char *const reasons[] = {
    [200] = "OK",
    [201] = "Created",
    [202] = "Accepted",
    [203] = "Non-Authoritative Information",
    [204] = "No Content",
    [205] = "Reset Content",
    [206] = "Partial Content",
    [207] = "Multi-Status",
    [208] = "Already Reported",
    [226] = "IM Used",
    [300] = "Multiple Choices",
    [301] = "Moved Permanently",
    [302] = "Found",
    [303] = "See Other",
    [304] = "Not Modified",
    [305] = "Use Proxy",
    [307] = "Temporary Redirect",
    [308] = "Permanent Redirect",
    [400] = "Bad Request",
    [401] = "Unauthorized",
    [402] = "Payment Required",
    [403] = "Forbidden",
    [404] = "Not Found",
    [405] = "Method Not Allowed",
    [406] = "Not Acceptable",
    [407] = "Proxy Authentication Required",
    [408] = "Request Timeout",
    [409] = "Conflict",
    [410] = "Gone",
    [411] = "Length Required",
    [412] = "Precondition Failed",
    [413] = "Content Too Large",
    [414] = "URI Too Long",
    [415] = "Unsupported Media Type",
    [416] = "Range Not Satisfiable",
    [417] = "Expectation Failed",
    [421] = "Misdirected Request",
    [422] = "Unprocessable Content",
    [423] = "Locked",
    [424] = "Failed Dependency",
    [425] = "Too Early",
    [426] = "Upgrade Required",
    [428] = "Precondition Required",
    [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large",
    [451] = "Unavailable For Legal Reasons",
    [500] = "Internal Server Error",
    [501] = "Not Implemented",
    [502] = "Bad Gateway",
    [503] = "Service Unavailable",
    [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported",
    [506] = "Variant Also Negotiates",
    [507] = "Insufficient Storage",
    [508] = "Loop Detected",
    [511] = "Network Authentication Required",
};

const char *rn_http_reason(int status)
{
    size_t n = sizeof reasons / sizeof *reasons;
    return status >= 0 && (size_t)status < n && reasons[status] != NULL ? reasons[status] : "";
}

static const char *const refusals[RN_HTTP_REFUSALS] = {
    [RN_HTTP_MALFORMED] = "malformed",
    [RN_HTTP_SLOW_HEAD] = "slow head",
    [RN_HTTP_SLOW_BODY] = "slow body",
    [RN_HTTP_SLOW_READER] = "slow reader",
    [RN_HTTP_LARGE_BODY] = "large body",
    [RN_HTTP_LARGE_TARGET] = "large target",
    [RN_HTTP_LARGE_HEAD] = "large head",
    [RN_HTTP_UNSUPPORTED] = "unsupported",
    [RN_HTTP_GONE] = "gone",
    [RN_HTTP_HANDSHAKE] = "handshake",
};

const char *rn_http_refusal_name(rn_http_refusal refusal)
{
    return refusal < RN_HTTP_REFUSALS ? refusals[refusal] : "unknown";
}
