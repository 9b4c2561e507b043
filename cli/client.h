/* cli/client.h - signed JSON calls, several at once
 *
 *     pen_client_call(client, PEN_SERVICE_PENSTOCK, "GetHealth", input, &output, err);
 *
 * or, for long polls side by side:
 *
 *     pen_call_start(client, service, operation, input, wait_s, &call, err);
 *     while (!pen_call_is_done(call))
 *         pen_client_wait(client, 1000, err);
 *     pen_call_finish(&call, &output, err);
 *
 * The service's error becomes ours: NotFound exceptions PEN_ENOTFOUND, refused signatures and
 * rights PEN_EDENIED, throttling and 5xx PEN_EUNAVAILABLE, conflicts PEN_ECONFLICT, the rest
 * PEN_EINVAL; a controller that cannot be reached is PEN_EUNAVAILABLE. The message begins with the
 * service's own name of the error. Not for use by several threads.
 */
#ifndef PEN_CLI_CLIENT_H
#define PEN_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/settings.h"
#include "common/base/error.h"

enum pen_service {
    PEN_SERVICE_CODEPIPELINE = 1, /* the AWS API */
    PEN_SERVICE_PENSTOCK,         /* what AWS has no operation for */
};

struct pen_client;
struct pen_call;

/* settings are borrowed and have to outlive the client. Errors: PEN_ENOMEM. */
int pen_client_create(const struct pen_settings *settings, struct pen_client **ret_client,
                      struct pen_error *err);
void pen_client_destroy(struct pen_client **self_p);

/* From now on SIGINT and SIGTERM do not end the program but every wait, with PEN_EUNAVAILABLE, and
 * pen_client_interrupted() is true. For commands that follow something. */
int pen_client_catch_signals(struct pen_client *self, struct pen_error *err);
bool pen_client_interrupted(const struct pen_client *self);

/* Start a call; input is borrowed for the time of this function. wait_s is what the operation
 * itself was asked to wait. Errors: PEN_EDENIED (no credentials), PEN_ENOMEM. */
int pen_call_start(struct pen_client *self, enum pen_service service, const char *operation,
                   const json_t *input, int wait_s, struct pen_call **ret_call,
                   struct pen_error *err);

/* Wait until some call is done, at most timeout_ms. Errors: PEN_EUNAVAILABLE (interrupted). */
int pen_client_wait(struct pen_client *self, int timeout_ms, struct pen_error *err);

/* Let time pass without any call. Errors: PEN_EUNAVAILABLE (interrupted). */
int pen_client_sleep(struct pen_client *self, int timeout_ms, struct pen_error *err);

bool pen_call_is_done(const struct pen_call *self);

/* The answer of a call that is done (an empty one is {}), a new reference; frees the call. */
int pen_call_finish(struct pen_call **self_p, json_t **ret_output, struct pen_error *err);

/* Give a call up. */
void pen_call_destroy(struct pen_call **self_p);

/* Start, wait, finish. Throttling and "503, not now" are tried again, twice. */
int pen_client_call(struct pen_client *self, enum pen_service service, const char *operation,
                    const json_t *input, json_t **ret_output, struct pen_error *err);

/* GET a path without signing. *ret_date_ms: the Date the controller gave, 0 without one.
 * Errors: PEN_EUNAVAILABLE. */
int pen_client_probe(struct pen_client *self, const char *path, long *ret_status,
                     int64_t *ret_date_ms, struct pen_error *err);

#endif
