/* controller/post/post.h - which threads run, and what they post to each other
 *
 *                       +---------- core: engine + store -----------+
 *      Pen__Input  ---> |  step, commit, then effects               | ---> Pen__Effect
 *                       +-------------------------------------------+
 *        ^   ^   ^   ^                                       |  |  |  |
 *     http dispatch data sources retention  <----------------+--+--+--+
 *
 * Every thread owns one inbox and shares nothing else. Toward the core, a post of kind
 * PEN_POST_INPUT carries a Pen__Input that was made with malloc; from the core, PEN_POST_EFFECT
 * carries a Pen__Effect. PEN_POST_COMMITTED goes to http after each commit that changed an
 * execution, and PEN_POST_LOG_GREW from data to http when a log has grown: both wake followers.
 * PEN_POST_STOP asks a thread to finish; a thread that could not go on posts PEN_POST_FAILED to the
 * core with a struct pen_error, and the process ends.
 */
#ifndef PEN_CONTROLLER_POST_POST_H
#define PEN_CONTROLLER_POST_POST_H

#include "common/base/error.h"
#include "common/io/inbox.h"

enum pen_post_kind {
    PEN_POST_INPUT = 1, /* body: Pen__Input *; number: who posted (enum pen_thread) */
    PEN_POST_EFFECT,    /* body: Pen__Effect * */
    PEN_POST_COMMITTED, /* body: char *, execution ids joined with '\n', may be ""; number: last
                           fact seq */
    PEN_POST_LOG_GREW,  /* body: NULL; number: fence */
    PEN_POST_FAILED,    /* body: struct pen_error * */
    PEN_POST_STOP,      /* no body */
    PEN_POST_SERVE, /* no body; to dispatch and http: all is loaded, let agents and clients in */
};

/* What the sealed secret of a connection is bound to (pen_seal's context): http seals it, sources
 * opens it. */
#define PEN_CONNECTION_SEAL_CONTEXT "connection"

enum pen_thread {
    PEN_THREAD_CORE = 1,
    PEN_THREAD_DISPATCH,
    PEN_THREAD_DATA,
    PEN_THREAD_HTTP,
    PEN_THREAD_SOURCES,
    PEN_THREAD_RETENTION,
};

#endif
