#include "controller/app/administrator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/io/file.h"
#include "common/io/random.h"
#include "common/log/log.h"
#include "controller/artifacts/layout.h"
#include "controller/auth/access_keys.h"

enum {
    KEY_ID_LETTERS = 16, /* after "AKIA": 80 bits, as AWS writes them */
    SECRET_LETTERS = 40, /* 240 bits */
};

struct key {
    char id[4 + KEY_ID_LETTERS + 1];
    char secret[SECRET_LETTERS + 1];
};

static int make_key(struct key *ret_key, struct pen_error *err)
{
    static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char random[KEY_ID_LETTERS + SECRET_LETTERS];
    int rc = pen_random_bytes(random, sizeof random, err);
    if (rc < 0)
        return rc;
    memset(ret_key, 0, sizeof *ret_key);
    memcpy(ret_key->id, "AKIA", 4);
    for (size_t i = 0; i < KEY_ID_LETTERS; i++)
        ret_key->id[4 + i] = base32[random[i] % 32];
    for (size_t i = 0; i < SECRET_LETTERS; i++)
        ret_key->secret[i] = base64[random[KEY_ID_LETTERS + i] % 64];
    explicit_bzero(random, sizeof random);
    return 0;
}

static int write_file(const struct pen_administrator *with, const struct key *key,
                      struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_layout_path(with->dir, "admin.credentials", &path);
    pen_buf_printf(&text,
                   "[penstock]\naws_access_key_id = %s\naws_secret_access_key = %s\n"
                   "region = %s\n",
                   key->id, key->secret, with->region);
    int rc = pen_buf_ok(&text, err);
    if (rc == 0)
        rc = pen_file_replace(pen_buf_text(&path), text.data, text.size, 0600, err);
    explicit_bzero(text.data, text.size);
    return rc;
}

static int commit_key(const struct pen_administrator *with, const struct key *key,
                      struct pen_core *core, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf sealed = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf principal = {0};
    int rc = pen_seal(with->sealer, PEN_ACCESS_KEY_SEAL_CONTEXT, key->secret, strlen(key->secret),
                      &sealed, err);
    if (rc < 0)
        return rc;
    pen_buf_printf(&principal, "arn:aws:iam::%s:user/admin", with->account);
    if ((rc = pen_buf_ok(&principal, err)) < 0)
        return rc;
    char id[sizeof key->id];
    memcpy(id, key->id, sizeof id);
    Pen__AccessKeyRow row = PEN__ACCESS_KEY_ROW__INIT;
    row.id = id;
    row.has_sealed_secret = true;
    row.sealed_secret = (ProtobufCBinaryData){.data = sealed.data, .len = sealed.size};
    row.principal_arn = (char *)principal.data;
    Pen__CreateAccessKey create = PEN__CREATE_ACCESS_KEY__INIT;
    create.access_key = &row;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_CREATE_ACCESS_KEY;
    input.create_access_key = &create;
    return pen_core_submit(core, &input, err);
}

int pen_administrator_make(const struct pen_administrator *with, struct pen_core *core,
                           struct pen_error *err)
{
    struct key key;
    int rc = make_key(&key, err);
    if (rc < 0 || (rc = write_file(with, &key, err)) < 0)
        return rc;
    rc = commit_key(with, &key, core, err);
    explicit_bzero(&key, sizeof key);
    if (rc == 0)
        pen_log(PEN_LOG_INFO, "first start: the administrator's key is in admin.credentials",
                "file=%s/admin.credentials profile=penstock endpoint=%s", with->dir,
                with->endpoint);
    return rc;
}
