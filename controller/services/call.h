/* controller/services/call.h - one API call, from its checked input to its answer
 *
 *                      +--> output                                  a read: answered at once
 *     input --handle --+--> post to the core --on_reply--> output   a write: answered after the
 * commit
 *                      +--> wait --(something happened)--> handle   a long poll: handled again
 *
 * A handler knows nothing of HTTP: it gets the validated input and the principal, reads from the
 * store's read-only connection, and leaves an output, an Input for the core, or a wish to wait. The
 * door (controller/http) does the rest.
 */
#ifndef PEN_CONTROLLER_SERVICES_CALL_H
#define PEN_CONTROLLER_SERVICES_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/keys/curve.h"
#include "common/keys/digest.h"
#include "common/keys/seal.h"
#include "controller/model/validate.h"
#include "controller/services/validate_input.h"
#include "controller/store/store.h"
#include "core.pb-c.h"

/* What every handler may use. All borrowed. */
struct pen_services {
    const char *dir;
    const char *account;
    const char *region;
    const struct pen_structure_limits *structure; /* of a pipeline; NULL: those of the API */
    const char *public_url;                       /* where others reach us; NULL or "": not told */
    const struct pen_sealer *sealer;
    const struct pen_curve_pair *server_keys;
    struct pen_reader *reader;
    uint8_t page_key[PEN_SHA256_SIZE]; /* marks page tokens as ours */
    int64_t started_ms;                /* monotonic */
};

struct pen_call;

/* Returns 0 or an error that the caller will see: with an API error name, or one by its code. */
typedef int pen_handler(struct pen_call *call, struct pen_error *err);

/* The core has done it: make the output. Refusals of the core do not come here, unless the call
 * asked for them (see `takes_refusal`). */
typedef int pen_reply_handler(struct pen_call *call, const Pen__Reply *reply,
                              struct pen_error *err);

/* What a waiting call waits for. */
struct pen_call_wait {
    bool wanted;
    char execution_id[64]; /* a commit that changes this execution; "": any commit */
    uint64_t fence;        /* the log of this attempt grows; 0: no log */
};

/* One row of a service's table. */
struct pen_operation {
    const char *name;       /* as in X-Amz-Target, and in the catalogue */
    const char *permission; /* "codepipeline:GetPipeline" */
    pen_handler *handle;
};

/* A service: its catalogue (name, target prefix, shapes) and what of it is served. */
struct pen_service {
    const struct pen_api_catalog *catalog;
    const struct pen_operation *operations;
    size_t operations_count;
};

struct pen_call {
    const struct pen_services *services;
    const struct pen_operation *operation;
    const char *principal; /* ARN */
    json_t *input;         /* validated */
    int64_t now_ms;        /* wall clock */
    char host[256];        /* header Host: by which name and port the caller reaches us */
    bool waited_out;       /* the time to wait is over: answer with what there is */

    json_t *output;     /* made by the handler; NULL gives {} */
    bool out_of_memory; /* some pen_put_... has failed */
    Pen__Input *post;   /* for the core; handed over by pen_call_post */
    pen_reply_handler *on_reply;
    bool takes_refusal; /* on_reply sees refusals, too (reply->error) */
    int64_t wait_ms;    /* longest wait, from the first call of the handler */
    struct pen_call_wait wait;
    void *state; /* from the handler to its on_reply */
    void (*state_destroy)(void *state);
};

/* Free what the handlers left in the call, but neither input nor principal. */
void pen_call_release(struct pen_call *call);

/* Hand an Input (of malloc; owned from here on, also on failure) to the core. A NULL input is
 * PEN_ENOMEM. The principal is filled in here. */
int pen_call_post(struct pen_call *call, Pen__Input *input, pen_reply_handler *on_reply,
                  struct pen_error *err);

/* A new Input of this kind whose body is of `type`; *ret_body points to it. NULL: no memory. */
Pen__Input *pen_input_new(Pen__Input__WhatCase what, const ProtobufCMessageDescriptor *type,
                          void *ret_body);

/* For operations without output. */
int pen_reply_nothing(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err);

/* The service whose target prefix this is ("CodePipeline_20150709"), NULL for none. */
const struct pen_service *pen_service_find(const char *prefix, size_t prefix_size);

/* The row of this name; NULL when the service does not serve it. */
const struct pen_operation *pen_operation_find(const struct pen_service *service, const char *name);

/* Compile the patterns of all catalogues, once, before any thread calls. */
int pen_services_prepare(struct pen_error *err);
void pen_services_release(void);

#endif
