#include "controller/auth/access_keys.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"

struct pen_access_keys {
    struct pen_access_key *keys; /* by id, ascending */
    size_t count;
    size_t capacity;
};

static void wipe(char *text)
{
    if (text == NULL)
        return;
    explicit_bzero(text, strlen(text));
    free(text);
}

static void key_release(struct pen_access_key *key)
{
    wipe(key->secret);
    free(key->id);
    free(key->principal_arn);
    *key = (struct pen_access_key){0};
}

int pen_access_keys_create(struct pen_access_keys **ret_keys, struct pen_error *err)
{
    struct pen_access_keys *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the table of access keys");
    *ret_keys = self;
    return 0;
}

void pen_access_keys_destroy(struct pen_access_keys **self_p)
{
    struct pen_access_keys *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->count; i++)
        key_release(&self->keys[i]);
    free(self->keys);
    free(self);
    *self_p = NULL;
}

/* Index of the first key that is not below id. */
static size_t lower_bound(const struct pen_access_keys *self, const char *id)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(self->keys[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct pen_access_keys *self, size_t index, const char *id)
{
    return index < self->count && strcmp(self->keys[index].id, id) == 0;
}

static int grow(struct pen_access_keys *self, struct pen_error *err)
{
    if (self->count < self->capacity)
        return 0;
    if (self->count >= PEN_ACCESS_KEYS_MAX)
        return pen_fail(err, PEN_ELIMIT, "more than %d access keys", PEN_ACCESS_KEYS_MAX);
    size_t capacity = self->capacity == 0 ? 8 : self->capacity * 2;
    struct pen_access_key *keys = realloc(self->keys, capacity * sizeof *keys);
    if (keys == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for %zu access keys", capacity);
    self->keys = keys;
    self->capacity = capacity;
    return 0;
}

static int check_lengths(const char *id, const char *secret, const char *arn, struct pen_error *err)
{
    if (id == NULL || id[0] == '\0' || strlen(id) > PEN_ACCESS_KEY_ID_MAX)
        return pen_fail(err, PEN_EINVAL, "an access key id has 1 to %d characters",
                        PEN_ACCESS_KEY_ID_MAX);
    if (secret == NULL || secret[0] == '\0' || strlen(secret) > PEN_ACCESS_KEY_SECRET_MAX)
        return pen_fail(err, PEN_EINVAL, "the secret of access key %s has 1 to %d bytes", id,
                        PEN_ACCESS_KEY_SECRET_MAX);
    if (arn == NULL || arn[0] == '\0' || strlen(arn) > PEN_PRINCIPAL_ARN_MAX)
        return pen_fail(err, PEN_EINVAL, "the principal of access key %s has 1 to %d characters",
                        id, PEN_PRINCIPAL_ARN_MAX);
    return 0;
}

int pen_access_keys_put_plain(struct pen_access_keys *self, const char *id, const char *secret,
                              const char *principal_arn, bool disabled, struct pen_error *err)
{
    int rc = check_lengths(id, secret, principal_arn, err);
    if (rc < 0 || (rc = grow(self, err)) < 0)
        return rc;
    struct pen_access_key key = {.id = strdup(id),
                                 .secret = strdup(secret),
                                 .principal_arn = strdup(principal_arn),
                                 .disabled = disabled};
    if (key.id == NULL || key.secret == NULL || key.principal_arn == NULL) {
        key_release(&key);
        return pen_fail(err, PEN_ENOMEM, "no memory for an access key");
    }
    size_t index = lower_bound(self, id);
    if (is_at(self, index, id)) {
        key_release(&self->keys[index]);
    } else {
        memmove(&self->keys[index + 1], &self->keys[index],
                (self->count - index) * sizeof *self->keys);
        self->count++;
    }
    self->keys[index] = key;
    return 0;
}

int pen_access_keys_put(struct pen_access_keys *self, const Pen__AccessKeyRow *row,
                        const struct pen_sealer *sealer, struct pen_error *err)
{
    if (row->id == NULL || !row->has_sealed_secret)
        return pen_fail(err, PEN_EINVAL, "an access key without id or secret");
    PEN_CLEANUP(pen_buf_release) struct pen_buf secret = {0};
    int rc = pen_unseal(sealer, PEN_ACCESS_KEY_SEAL_CONTEXT, row->sealed_secret.data,
                        row->sealed_secret.len, &secret, err);
    if (rc < 0 || (rc = pen_buf_ok(&secret, err)) < 0)
        return rc;
    if (strlen(pen_buf_text(&secret)) != secret.size)
        rc = pen_fail(err, PEN_ECORRUPT, "the secret of access key %s holds a zero byte", row->id);
    else
        rc = pen_access_keys_put_plain(self, row->id, pen_buf_text(&secret), row->principal_arn,
                                       row->has_disabled && row->disabled, err);
    if (secret.data != NULL)
        explicit_bzero(secret.data, secret.size);
    return rc;
}

const struct pen_access_key *pen_access_keys_find(const struct pen_access_keys *self,
                                                  const char *id)
{
    size_t index = lower_bound(self, id);
    return is_at(self, index, id) ? &self->keys[index] : NULL;
}

size_t pen_access_keys_count(const struct pen_access_keys *self)
{
    return self->count;
}
