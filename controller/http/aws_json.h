/* controller/http/aws_json.h - the JSON 1.1 envelope: bytes of answers and errors
 *
 * An answer is a JSON object; an error is {"__type","message"} with a status by its name: 400, 409
 * for ConflictException, 413, 500, 503.
 */
#ifndef PEN_CONTROLLER_HTTP_AWS_JSON_H
#define PEN_CONTROLLER_HTTP_AWS_JSON_H

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/error.h"

#define PEN_AWS_JSON_TYPE "application/x-amz-json-1.1"

/* HTTP status of an error by its API name. */
unsigned pen_aws_json_status(const char *error_name);

/* The API name of an error that carries none. */
const char *pen_aws_json_error_name(const struct pen_error *err);

/* Whether the message is for the operator's log only: a fault of ours, not of the caller. */
bool pen_aws_json_is_internal(const char *error_name);

/* The text of an output object; times keep their milliseconds. Errors: PEN_ENOMEM. */
int pen_aws_json_output(const json_t *output, struct pen_buf *ret_text, struct pen_error *err);

/* {"__type":"NAME","message":"..."} */
void pen_aws_json_error(const char *error_name, const char *message, struct pen_buf *ret_text);

#endif
