/* controller/data/data.h - the data plane: log bytes and artifact chunks, by offset and digest
 *
 * A thread of its own with a second ROUTER. It takes bytes only for attempts that the core has
 * opened (AttemptOpen) and only from the agent they were granted to. A log's truth is the length of
 * its file; an acknowledged byte is synced. Whole artifacts are reported to the core
 * (ArtifactArrived) and confirmed to the agent when the core says the reference is committed
 * (ArtifactAccepted).
 */
#ifndef PEN_CONTROLLER_DATA_DATA_H
#define PEN_CONTROLLER_DATA_DATA_H

#include "common/base/error.h"
#include "common/io/inbox.h"
#include "common/keys/curve.h"

struct pen_data;
struct pen_dispatch;

struct pen_data_options {
    const char *dir;     /* the controller's data folder */
    const char *address; /* "127.0.0.1:7421"; port 0 picks a free one */
    const struct pen_curve_pair *server_keys;
    struct pen_dispatch *dispatch; /* borrowed; its ZAP handler decides who may connect */
    struct pen_inbox *core;        /* borrowed */
    struct pen_inbox *http;        /* borrowed; may be NULL: PEN_POST_LOG_GREW goes there */
};

/* Bind and run the thread. Stop it before the dispatch it was given. Errors: PEN_EIO (address in
 * use, or the folder cannot be used), PEN_EINVAL (no dispatch was given). */
int pen_data_start(const struct pen_data_options *options, struct pen_data **ret_data,
                   struct pen_error *err);
const char *pen_data_endpoint(const struct pen_data *self);
struct pen_inbox *pen_data_inbox(struct pen_data *self);
void pen_data_stop(struct pen_data **self_p);

#endif
