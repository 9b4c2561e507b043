#include "controller/dispatch/keyring.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/map.h"
#include "common/base/str.h"
#include "common/keys/digest.h"

struct pen_keyring {
    struct pen_map by_key; /* key_text -> struct pen_identity, owned */
    uint64_t generation;
};

int pen_keyring_create(struct pen_keyring **ret_keyring, struct pen_error *err)
{
    struct pen_keyring *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a key ring");
    self->generation = 1;
    *ret_keyring = self;
    return 0;
}

void pen_keyring_destroy(struct pen_keyring **self_p)
{
    struct pen_keyring *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    struct pen_map_node *node = pen_map_first(&self->by_key);
    for (; node != NULL; node = pen_map_next(node))
        free(pen_map_value(node));
    pen_map_release(&self->by_key);
    free(self);
}

/* The id travels as a ZAP user id and stands in logs. */
static bool id_is_fit(const char *id)
{
    if (pen_str_empty(id) || strlen(id) > PEN_KEY_ID_MAX)
        return false;
    for (const char *c = id; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~')
            return false;
    }
    return true;
}

int pen_keyring_allow(struct pen_keyring *self, const uint8_t public_key[PEN_CURVE_KEY_SIZE],
                      const char *id, bool token, struct pen_error *err)
{
    if (!id_is_fit(id))
        return pen_fail(err, PEN_EINVAL,
                        "the id of a key has to be 1 to %d printable characters without spaces",
                        PEN_KEY_ID_MAX);
    char key_text[PEN_KEY_TEXT];
    pen_hex_encode(public_key, PEN_CURVE_KEY_SIZE, key_text);
    struct pen_identity *who = pen_map_get(&self->by_key, pen_key_text(key_text));
    if (who == NULL) {
        who = calloc(1, sizeof *who);
        if (who == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for the key of '%s'", id);
        CHECK(pen_str_copy(who->key_text, sizeof who->key_text, key_text));
        int rc = pen_map_put(&self->by_key, pen_key_text(who->key_text), who, err);
        if (rc < 0) {
            free(who);
            return rc;
        }
    }
    CHECK(pen_str_copy(who->id, sizeof who->id, id));
    who->token = token;
    self->generation++;
    return 0;
}

bool pen_keyring_deny(struct pen_keyring *self, const uint8_t public_key[PEN_CURVE_KEY_SIZE])
{
    char key_text[PEN_KEY_TEXT];
    pen_hex_encode(public_key, PEN_CURVE_KEY_SIZE, key_text);
    struct pen_identity *who = pen_map_remove(&self->by_key, pen_key_text(key_text));
    if (who == NULL)
        return false;
    free(who);
    self->generation++;
    return true;
}

const struct pen_identity *pen_keyring_find(const struct pen_keyring *self, const char *key_text)
{
    return pen_map_get(&self->by_key, pen_key_text(key_text));
}

uint64_t pen_keyring_generation(const struct pen_keyring *self)
{
    return self->generation;
}
