/* controller/http/door.h - what the files of this folder share: the door and one exchange
 *
 *     head read --guard--> body read --route--> handled --+--> answered --> done
 *                                                         |        ^
 *                                                         +--> suspended: a Reply of the core,
 *                                                              news, or the deadline
 *
 * Everything here belongs to the HTTP thread.
 */
#ifndef PEN_CONTROLLER_HTTP_DOOR_H
#define PEN_CONTROLLER_HTTP_DOOR_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "controller/auth/access_keys.h"
#include "controller/auth/sigv4.h"
#include "controller/http/guard.h"
#include "controller/http/http.h"
#include "controller/post/actor.h"
#include "controller/services/call.h"

enum {
    HTTP_INBOX_POSTS = 8192,
    HTTP_CONNECTIONS_MAX = 512,         /* a long poll holds one */
    HTTP_CONNECTIONS_PER_ADDRESS = 384, /* leaves some to others; a proxy is one address */
    HTTP_CONNECTION_MEMORY = 32 * 1024, /* request line and headers; the library's own default */
    HTTP_IDLE_S = 30,                   /* nothing moves */
    HTTP_REQUEST_MS = 60 * 1000,        /* from the first byte of a head to the last of the body */
    HTTP_ANSWER_MS = 120 * 1000,        /* to take an answer */
    HTTP_CORE_MS = 30 * 1000,           /* to wait for the core's Reply */
    HTTP_BODIES_MAX =
        64 * 1024 * 1024, /* bodies in memory, all connections together; of hooks as much again */
    HTTP_DISCARD_MAX = 8 * 1024 * 1024, /* of a body that is too large, to deliver the refusal */
    HTTP_STOP_MS = 2000,                /* to deliver the last answers */
};

/* A connection, from accept to close; cut off when it is past its deadline. */
struct http_link {
    struct MHD_Connection *connection;
    int64_t deadline_ms; /* monotonic; INT64_MAX while we are the ones who owe something */
    bool cut;
    struct http_link *next;
    struct http_link *previous;
};

/* One request and its answer. */
struct exchange {
    struct pen_http *door;
    struct MHD_Connection *connection;
    char *target;    /* raw */
    char method[16]; /* cut, when longer: then it is none that we know */
    char request_id[37];
    int64_t began_us;
    bool head_seen;
    bool handled;
    struct pen_buf body;
    uint64_t discarded; /* bytes of a body that is refused */
    bool of_hook;
    bool too_large;
    bool too_busy;

    struct pen_principal principal;
    const char *operation_name; /* for the log */
    struct pen_call call;
    json_t *input;
    struct pen_error err;

    bool suspended;
    uint64_t correlation; /* of the Reply it waits for; 0: waits for news */
    bool asks_health;     /* the Reply is that of /readyz, for all that wait for it */
    int64_t deadline_ms;  /* monotonic */
    struct exchange *next;
    struct exchange *previous;

    bool answered;
    bool close; /* the connection ends with this answer */
    unsigned status;
    const char *allow;   /* header Allow; NULL: none */
    bool xml;            /* the answer is not JSON */
    char error_name[96]; /* "": none */
    struct pen_buf answer;
};

/* What the core said last about how the controller does. */
struct http_health {
    uint64_t asked;          /* correlation of the question that is under way; 0: none is */
    int64_t known_ms;        /* monotonic: when it was answered last */
    json_t *output;          /* of /readyz; NULL: never answered */
    struct pen_buf obstacle; /* why it is not ready; empty: it is */
};

struct pen_http {
    char *dir;
    char *account;
    char *region;
    char *public_url;
    struct pen_buf endpoint;
    struct pen_actor actor;
    struct pen_access_keys *keys;
    struct pen_services services;
    struct MHD_Daemon *daemon;
    int listen_fd;
    int epoll_fd;
    struct http_link *links;
    struct exchange *suspended_first; /* in the order in which they were suspended */
    struct exchange *suspended_last;
    uint64_t last_correlation;
    size_t bodies_size;
    size_t hook_bodies_size;
    bool serving; /* all is loaded (PEN_POST_SERVE) */
    struct http_health health;
    bool resumed; /* in this turn: the library has something to do at once */
};

/* ---- connection.c: the library's callbacks */

/* Make the daemon around door->listen_fd. Errors: PEN_EIO. */
int http_daemon_start(struct pen_http *door, struct pen_error *err);

/* Cut connections that are past their deadline; returns the next deadline, INT64_MAX for none. */
int64_t http_links_sweep(struct pen_http *door, int64_t now_ms);

/* ---- exchange.c: answers */

void exchange_answer_output(struct exchange *self, const json_t *output);
void exchange_answer_error(struct exchange *self, const char *error_name, const char *message);
/* "There is no such service", in the XML of REST services (501) or of the Query protocol (400). The
 * message needs no escapes. */
void exchange_answer_xml(struct exchange *self, bool rest, const char *message);
/* By the code and name of err; faults of ours are logged and not shown. */
void exchange_answer_failure(struct exchange *self, const struct pen_error *err);
/* Give the answer to the library, with its headers. */
enum MHD_Result exchange_send(struct exchange *self);
void exchange_destroy(struct exchange **self_p);

/* ---- foreign.c */

/* Answer a client of a service that is not here and speaks XML; false when it is none. */
bool http_foreign(struct exchange *self, const struct pen_http_head *head);

/* ---- route.c */

/* Decide what the request is and handle it: afterwards it is answered, or has to be suspended. */
void http_route(struct exchange *self);

/* ---- api.c: POST / */

void http_api(struct exchange *self, const struct pen_http_head *head);
/* Call the handler again: there is news, or (waited_out) there is none. */
void http_api_again(struct exchange *self, bool waited_out);
void http_api_reply(struct exchange *self, const Pen__Reply *reply);

/* After a handler: post to the core, wait, or answer. */
int http_go_on(struct exchange *self, struct pen_error *err);

/* ---- proof.c: calls that are not signed, but know a secret */

enum http_proof {
    HTTP_UNPROVEN = 0,
    HTTP_PROVEN_CALLER, /* by a token: the body may be anybody's */
    HTTP_PROVEN_BODY,   /* by a MAC over the body */
};

/* By the strongest header that is there: a wrong one is not made good by another. sha1_too: also by
 * GitHub's older header. */
enum http_proof http_prove(const struct pen_http_head *head, const struct pen_buf *secret,
                           const struct pen_buf *body, bool sha1_too);

/* What tells this delivery from all others: digests of the id that the server has given it, and of
 * the body that was proven, since the id itself is not. Without an id, only with ret_unnamed that
 * of a proven body: not to be remembered, since who calls by hand may repeat himself, but a
 * delivery whose id was taken away is known by it. The caller frees them. Errors: PEN_ENOMEM. */
int http_delivery(const struct pen_http_head *head, const struct pen_buf *body,
                  enum http_proof proof, ProtobufCBinaryData **ret_digests, size_t *ret_count,
                  bool *ret_unnamed, struct pen_error *err);

/* ---- health.c: GET /readyz */

void http_readyz(struct exchange *self, const struct pen_http_head *head);
/* The answer to the question that is under way: for all that wait for it. */
void http_health_reply(struct pen_http *door, const Pen__Reply *reply);
void http_health_release(struct http_health *self);

/* ---- hook.c: POST /hooks/connection/ID */

/* A git server announces a push or a pull request: unsigned, but proven by the connection's hook
 * secret. */
void http_connection_hook(struct exchange *self, const struct pen_http_head *head);

/* ---- webhook.c: POST /hooks/webhook/NAME/SECRET */

/* A webhook is called: it starts its pipeline when the call proves itself and the filters pass. */
void http_webhook(struct exchange *self, const struct pen_http_head *head);

/* How much of a target may be logged: all but the secret of a webhook. */
size_t http_target_shown(const char *target);

/* ---- suspend.c: exchanges that wait */

void http_suspend(struct exchange *self, int64_t deadline_ms);
/* Unlink without resuming: the exchange is going away. */
void http_forget(struct exchange *self);
/* Once it is answered, the library may have it back. */
void http_settle(struct exchange *self);
void http_on_reply(struct pen_http *door, const Pen__Reply *reply);
void http_on_committed(struct pen_http *door, const char *execution_ids);
void http_on_log_grew(struct pen_http *door, uint64_t fence);
/* Answer those whose time is over; returns the next deadline, INT64_MAX for none. */
int64_t http_expire(struct pen_http *door, int64_t now_ms);
/* Answer all: the door closes. */
void http_expire_all(struct pen_http *door);

#endif
