/* common/config/value.h - one value of a configuration: checking and printing by its key */
#ifndef PEN_COMMON_CONFIG_VALUE_H
#define PEN_COMMON_CONFIG_VALUE_H

#include "common/config/config.h"

struct pen_config_value {
    char *text; /* as it was given */
    char *origin;
    int64_t number; /* flag: 0 or 1 */
};

void pen_config_value_release(struct pen_config_value *value);

/* Check text against key and replace *ret_value. Errors: PEN_EINVAL, PEN_ELIMIT, PEN_ENOMEM; the
 * message names the key, not the origin. */
int pen_config_value_set(const struct pen_config_key *key, const char *text, const char *origin,
                         struct pen_config_value *ret_value, struct pen_error *err);

/* Type, default and range of a key for people: "duration, 1s to 1d, default 60s". */
void pen_config_key_describe(const struct pen_config_key *key, struct pen_buf *ret_text);

#endif
