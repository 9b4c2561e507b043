/* common/base/limits.h - how much of anything, and why just that much
 *
 * Every maximum of the project stands here with its reason; a limit that is an agreement of the
 * AWS API stands in the API catalogue instead. Add yours to the section of its folder.
 */
#ifndef PEN_COMMON_BASE_LIMITS_H
#define PEN_COMMON_BASE_LIMITS_H

enum {
    /* ---- common */

    /* A configuration file: a flat list of some dozens of keys fits a hundred times over. */
    PEN_LIMIT_CONFIG_BYTES = 256 * 1024,

    /* One line of the log: a terminal's worth of text; anything longer is data, not a log line. */
    PEN_LIMIT_LOG_LINE_BYTES = 4096,

    /* A key file is a few lines of hexadecimal digits. */
    PEN_LIMIT_KEY_FILE_BYTES = 4096,

    /* ---- the HTTP door and its clients */

    /* Body of an API request. The largest is a pipeline: the API allows 500 actions of some
     * kilobytes of configuration, and real ones stay below 200 KB. */
    PEN_LIMIT_HTTP_BODY_BYTES = 1024 * 1024,

    /* Body of an API answer that a client takes: a page of history, or 4 MiB of log in base64. */
    PEN_LIMIT_HTTP_ANSWER_BYTES = 8 * 1024 * 1024,

    /* How long a request may wait for news (logs, facts). Below the 30 s after which proxies and
     * clients commonly give up. */
    PEN_LIMIT_LONG_POLL_MS = 20 * 1000,

    /* Bytes of log in one answer, before base64. */
    PEN_LIMIT_LOG_PAGE_BYTES = 1024 * 1024,
};

_Static_assert(PEN_LIMIT_LOG_PAGE_BYTES / 3 * 4 + 65536 <= PEN_LIMIT_HTTP_ANSWER_BYTES,
               "a page of log has to fit into an answer");

#endif
