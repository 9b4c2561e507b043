/* controller/http/http.h - the HTTP door: SigV4, JSON 1.1, long polls
 *
 * A thread of its own around libmicrohttpd's external epoll set. Reads are answered from read-only
 * database connections; writes become inputs to the core and are answered by its Reply, after the
 * commit. Takes Reply and KeyLoaded effects, PEN_POST_COMMITTED and PEN_POST_LOG_GREW.
 */
#ifndef PEN_CONTROLLER_HTTP_HTTP_H
#define PEN_CONTROLLER_HTTP_HTTP_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/io/inbox.h"
#include "common/keys/curve.h"
#include "common/keys/seal.h"

struct pen_http;
struct pen_structure_limits;

struct pen_http_options {
    const char *dir;     /* the controller's data folder */
    const char *address; /* "127.0.0.1:7480"; port 0 picks a free one */
    const char *account; /* 12 digits */
    const char *region;
    const struct pen_structure_limits *structure; /* borrowed; NULL: the API's limits */
    const char *public_url; /* "https://ci.example.org"; NULL or "": as the caller names us */
    const struct pen_sealer *sealer;          /* borrowed: access keys, connection secrets */
    const struct pen_curve_pair *server_keys; /* borrowed: its public key goes into agent tokens */
    struct pen_inbox *core;                   /* borrowed */
};

/* Listens at once; until PEN_POST_SERVE every request but for health is told to come again (503).
 */
int pen_http_start(const struct pen_http_options *options, struct pen_http **ret_http,
                   struct pen_error *err);
/* "http://127.0.0.1:7480", with the real port. */
const char *pen_http_endpoint(const struct pen_http *self);
struct pen_inbox *pen_http_inbox(struct pen_http *self);
void pen_http_stop(struct pen_http **self_p);

#endif
