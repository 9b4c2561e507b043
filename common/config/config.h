/* common/config/config.h - one table of keys makes parser, checker and manual
 *
 *     static const struct pen_config_key keys[] = {
 *         {"http", PEN_CONFIG_ADDRESS, "127.0.0.1:7480", 0, 0, "Address and port of the API."},
 *         {"poll-interval", PEN_CONFIG_DURATION, "60s", 1000, 86400000, "How often ..."},
 *         {0},
 *     };
 *     pen_config_create(keys, &config, err);           // every key has its default now
 *     pen_config_load(config, "/etc/penstock/controller.yaml", err);
 *     pen_config_set(config, "http", flag, "--http", err);   // the command line comes last
 *     int64_t interval_ms = pen_config_number(config, "poll-interval");
 *
 * The file is YAML: one flat mapping of keys to plain values. An unknown key, a key given twice, a
 * list, a nested mapping or a value outside its range is an error that names file, line and key.
 * A created config may be read from several threads once nobody changes it any more.
 */
#ifndef PEN_COMMON_CONFIG_CONFIG_H
#define PEN_COMMON_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

enum pen_config_type {
    PEN_CONFIG_TEXT = 1, /* range: length in bytes; maximum 0: up to 4096 */
    PEN_CONFIG_ADDRESS,  /* a text, "127.0.0.1:7480" or "[::1]:0"; without range */
    PEN_CONFIG_FLAG,     /* true or false, also yes, no, on, off */
    PEN_CONFIG_INTEGER,
    PEN_CONFIG_DURATION, /* "30s"; range and value in milliseconds */
    PEN_CONFIG_SIZE,     /* "64MiB"; range and value in bytes */
};

/* One key; a table of them ends with one that has no name. Lives as long as the config. */
struct pen_config_key {
    const char *name; /* lower case with '-' */
    enum pen_config_type type;
    const char *default_text; /* "" for a text that has no default */
    int64_t minimum;
    int64_t maximum;
    const char *help; /* one or two sentences */
};

struct pen_config;

/* All keys at their defaults. A default that breaks its own range is our own mistake (CHECK). */
int pen_config_create(const struct pen_config_key *keys, struct pen_config **ret_config,
                      struct pen_error *err);
void pen_config_destroy(struct pen_config **self_p);

/* Read a file over what is there. On failure nothing has changed. Errors: PEN_ENOTFOUND,
 * PEN_EINVAL, PEN_ELIMIT, PEN_EDENIED, PEN_EIO. */
int pen_config_load(struct pen_config *self, const char *path, struct pen_error *err);

/* Set one key from text. origin (a flag, a variable) is put before the error and kept for
 * pen_config_origin. Errors: PEN_ENOTFOUND (no such key), PEN_EINVAL, PEN_ELIMIT. */
int pen_config_set(struct pen_config *self, const char *name, const char *text, const char *origin,
                   struct pen_error *err);

/* Values. Asking for a key that is not in the table, or as another type, is our own mistake. The
 * text (also of an address) lives until the key is set again. pen_config_number is for integers,
 * durations and sizes. */
const char *pen_config_text(const struct pen_config *self, const char *name);
bool pen_config_flag(const struct pen_config *self, const char *name);
int64_t pen_config_number(const struct pen_config *self, const char *name);

/* Where the value comes from: "default", "FILE:LINE" or what pen_config_set was told. */
const char *pen_config_origin(const struct pen_config *self, const char *name);

/* The part of a manual page that lists the keys: plain text with type, default, range and help. */
void pen_config_manual(const struct pen_config_key *keys, struct pen_buf *ret_text);

/* The values in force, as YAML with their origins as comments. */
void pen_config_print(const struct pen_config *self, struct pen_buf *ret_text);

#endif
