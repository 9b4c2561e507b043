/* cli/input.h - what commands read besides their words */
#ifndef PEN_CLI_INPUT_H
#define PEN_CLI_INPUT_H

#include <jansson.h>

#include "cli/cli.h"
#include "common/base/buf.h"
#include "common/base/error.h"

/* A pipeline's JSON from a file. */
struct pen_pipeline_file {
    const char *path;    /* borrowed; "-": standard input */
    struct pen_buf text; /* as it was read */
    bool bare;           /* the pipeline itself, not {"pipeline": {...}} */
    json_t *input;       /* {"pipeline": {...}, ...} without "metadata", which GetPipeline adds */
};

/* Errors: PEN_EINVAL (with line and column), PEN_ELIMIT, as pen_file_read. */
int pen_input_pipeline(const char *path, struct pen_pipeline_file *ret_file, struct pen_error *err);
void pen_pipeline_file_release(struct pen_pipeline_file *self);

/* Fail with the places of the members that ValidatePipeline has found to be unknown. */
int pen_input_unknown_members(const struct pen_pipeline_file *file, const json_t *unknown,
                              struct pen_error *err);

/* The first line of a file, or all of it when it is a private key ("-----BEGIN "). "-": standard
 * input, without echo when that is a terminal. Errors: as pen_file_read, PEN_EINVAL (nothing in
 * it).
 */
int pen_input_secret(const char *path, const char *what, struct pen_buf *ret_secret,
                     struct pen_error *err);

/* Set a member to the secret in the file, unless path is NULL. Errors: as pen_input_secret. */
int pen_input_set_secret(json_t *object, const char *member, const char *path, const char *what,
                         struct pen_error *err);

/* "k=v,k2=v2" as an object. Errors: PEN_EINVAL. */
int pen_input_labels(const char *text, json_t **ret_labels, struct pen_error *err);

/* A duration option in milliseconds; otherwise when it was not given. Errors: PEN_EINVAL. */
int pen_input_duration(const struct pen_cli *cli, const char *option, int64_t otherwise,
                       int64_t *ret_ms, struct pen_error *err);

/* A number option within 1..maximum; otherwise when it was not given. Errors: PEN_EINVAL,
 * PEN_ELIMIT. */
int pen_input_number(const struct pen_cli *cli, const char *option, int64_t maximum,
                     int64_t otherwise, int64_t *ret_number, struct pen_error *err);

/* Set a member, if text is not NULL. */
void pen_input_set(json_t *object, const char *name, const char *text);

#endif
