#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/log/log.h"
#include "controller/post/post.h"
#include "controller/sources/check.h"
#include "controller/sources/state.h"

enum {
    LOCKED_MAX = 3,
    RENEW_PAUSE_MS =
        3600 * 1000, /* a mirror that a new fetch does not mend is not fetched each time */
};

struct pen_connection *pen_connection_find(struct pen_sources_state *self, const char *arn_or_id)
{
    for (struct pen_connection *at = self->connections; at; at = at->next)
        if (pen_str_equal(at->row->arn, arn_or_id) || pen_str_equal(at->row->id, arn_or_id))
            return at;
    return NULL;
}

void pen_mirror_destroy(struct pen_mirror **mirror_p)
{
    struct pen_mirror *self = TAKE_PTR(*mirror_p);
    if (!self)
        return;
    pen_fetch_release(&self->fetch);
    pen_git_url_release(&self->url);
    free(self->connection_id);
    free(self->path);
    free(self);
}

/* A local repository is often named without its ".git". */
static int complete_local(struct pen_git_url *url, struct pen_error *err)
{
    if (url->scheme != PEN_GIT_LOCAL || pen_file_exists(url->text))
        return 0;
    PEN_CLEANUP(pen_free) char *longer = pen_strdup_printf("%s.git", url->text);
    if (!longer)
        return pen_fail(err, PEN_ENOMEM, "no memory for a path");
    if (pen_file_exists(longer)) {
        free(url->text);
        url->text = TAKE_PTR(longer);
    }
    return 0;
}

/* The folder's name tells connection and URL: one connection's rights open nothing to another. */
static int mirror_make(struct pen_sources_state *self, const Pen__ConnectionRow *row,
                       struct pen_git_url *url, struct pen_mirror **ret_mirror,
                       struct pen_error *err)
{
    PEN_CLEANUP(pen_mirror_destroy) struct pen_mirror *mirror = calloc(1, sizeof *mirror);
    PEN_CLEANUP(pen_free) char *key = pen_strdup_printf("%s\n%s", row->id, url->text);
    if (!mirror || !key)
        return pen_fail(err, PEN_ENOMEM, "no memory for a mirror");
    mirror->fetch = PEN_FETCH_NONE;
    uint8_t digest[PEN_SHA256_SIZE];
    pen_sha256(key, strlen(key), digest);
    pen_hex_encode(digest, sizeof digest, mirror->name);
    memcpy(mirror->name + PEN_SHA256_HEX - 1, ".git", 5);
    mirror->path = pen_strdup_printf("%s/%s", self->mirrors_path, mirror->name);
    mirror->connection_id = strdup(row->id);
    if (!mirror->path || !mirror->connection_id)
        return pen_fail(err, PEN_ENOMEM, "no memory for a mirror");
    mirror->url = *url;
    *url = (struct pen_git_url){0};
    mirror->next = self->mirrors;
    self->mirrors = mirror;
    *ret_mirror = TAKE_PTR(mirror);
    return 0;
}

int pen_mirror_find(struct pen_sources_state *self, const char *connection_arn,
                    const char *repository_id, struct pen_mirror **ret_mirror,
                    struct pen_error *err)
{
    const struct pen_connection *connection =
        connection_arn ? pen_connection_find(self, connection_arn) : NULL;
    if (!connection)
        return pen_fail(err, PEN_ENOTFOUND, "no connection '%.200s'",
                        connection_arn ? connection_arn : "");
    PEN_CLEANUP(pen_git_url_release) struct pen_git_url url = {0};
    int rc = pen_git_url_make(connection->row->base_url, repository_id, &url, err);
    if (rc < 0 || (rc = complete_local(&url, err)) < 0)
        return rc;
    for (struct pen_mirror *at = self->mirrors; at; at = at->next) {
        if (pen_str_equal(at->connection_id, connection->row->id) &&
            pen_str_equal(at->url.text, url.text)) {
            *ret_mirror = at;
            return 0;
        }
    }
    return mirror_make(self, connection->row, &url, ret_mirror, err);
}

uint64_t pen_mirror_want(struct pen_mirror *mirror)
{
    mirror->wanted = true;
    return mirror->started + 1;
}

static int open_secret(const struct pen_sources_state *self, const Pen__ConnectionRow *row,
                       struct pen_buf *ret_secret, struct pen_error *err)
{
    if (!row->has_sealed_secret || row->sealed_secret.len == 0)
        return 0;
    if (!self->sealer)
        return pen_fail(err, PEN_EUNAVAILABLE, "the key that opens secrets is not loaded");
    return pen_unseal(self->sealer, PEN_CONNECTION_SEAL_CONTEXT, row->sealed_secret.data,
                      row->sealed_secret.len, ret_secret, err);
}

/* The folder to fetch into: made when there is none, and again when it cannot be used. What an
 * earlier life has left is looked at once, since a power cut may have ended it. */
static int folder_make(struct pen_sources_state *self, struct pen_mirror *mirror,
                       struct pen_error *err)
{
    struct pen_error why = {0};
    int rc = pen_git_make_bare(mirror->path, &why);
    if (rc == 0 && !mirror->checked)
        rc = pen_git_check(mirror->path, &why);
    mirror->checked = true;
    if (rc == PEN_ECORRUPT && pen_mirror_renew(self, mirror, why.message))
        rc = pen_git_make_bare(mirror->path, &why);
    mirror->wanted = mirror->renewing = false;
    return rc < 0 ? pen_fail(err, rc, "%s", why.message) : 0;
}

static int fetch_start(struct pen_sources_state *self, struct pen_mirror *mirror,
                       struct pen_error *err)
{
    const struct pen_connection *connection = pen_connection_find(self, mirror->connection_id);
    if (!connection)
        return pen_fail(err, PEN_ENOTFOUND, "the connection is gone");
    PEN_CLEANUP(pen_buf_release) struct pen_buf secret = {0};
    int rc = folder_make(self, mirror, err);
    if (rc < 0 || (rc = open_secret(self, connection->row, &secret, err)) < 0)
        return rc;
    PEN_CLEANUP(pen_refspecs_release) struct pen_refspecs refspecs = {.count = 0};
    pen_looks_join(self, mirror, &refspecs);
    pen_runs_join(self, mirror, &refspecs);
    const struct pen_fetch_order order = {
        .refspecs = refspecs.texts,
        .refspecs_count = refspecs.count,
        .mirrors = self->mirrors_path,
        .name = mirror->name,
        .url = &mirror->url,
        .username = pen_str_empty(connection->row->username) ? NULL : connection->row->username,
        .shallow = pen_git_is_shallow(mirror->path),
        .secret = secret.size > 0 ? pen_buf_text(&secret) : NULL,
    };
    rc = pen_fetch_start(&order, &mirror->fetch, err);
    if (secret.size > 0)
        explicit_bzero(secret.data, secret.size);
    return rc;
}

/* Everybody who waits for this fetch is told. */
static int tell(struct pen_sources_state *self, struct pen_mirror *mirror, const char *error_code,
                const char *reason, struct pen_error *err)
{
    PEN_CLEANUP(pen_free)
    char *sentence = pen_strdup_printf("Cannot fetch %s: %s", mirror->url.text, reason);
    if (!sentence)
        return pen_fail(err, PEN_ENOMEM, "no memory for a report to the core");
    if (error_code && !mirror->failing)
        pen_log(PEN_LOG_WARNING, "fetch failed", "url=%s reason=%s", mirror->url.text, reason);
    mirror->failing = error_code != NULL;
    int rc = pen_watch_mirror(self, mirror, error_code ? sentence : NULL, err);
    if (rc == 0)
        rc = pen_looks_mirror(self, mirror, error_code == NULL, error_code ? sentence : NULL, err);
    if (rc == 0)
        rc = pen_runs_mirror(self, mirror, mirror->started, error_code, sentence, err);
    return rc;
}

static int start_one(struct pen_sources_state *self, struct pen_mirror *mirror, int64_t now_ms,
                     struct pen_error *err)
{
    struct pen_error reason = {0};
    mirror->wanted = mirror->timed_out = mirror->unwanted = mirror->killed = false;
    mirror->started++;
    int rc = fetch_start(self, mirror, &reason);
    if (rc < 0)
        return tell(self, mirror,
                    rc == PEN_EDENIED || rc == PEN_EINVAL || rc == PEN_EUNSUPPORTED ||
                            rc == PEN_ENOTFOUND
                        ? "ConfigurationError"
                        : "SystemUnavailable",
                    reason.message, err);
    mirror->fetching = true;
    mirror->deadline_ms = now_ms + self->fetch_timeout_ms;
    return 0;
}

int pen_mirrors_start(struct pen_sources_state *self, int64_t now_ms, struct pen_error *err)
{
    size_t running = 0;
    for (const struct pen_mirror *at = self->mirrors; at; at = at->next)
        running += at->fetching;
    int rc = 0;
    for (struct pen_mirror *at = self->mirrors; rc == 0 && at; at = at->next) {
        if (!at->wanted || at->fetching || running >= PEN_FETCHES_MAX)
            continue;
        rc = start_one(self, at, now_ms, err);
        running += at->fetching;
    }
    return rc;
}

/* ---- mirrors that are damaged */

static bool throw_away(struct pen_sources_state *self, struct pen_mirror *mirror)
{
    struct pen_error err;
    pen_upkeep_stop(self, mirror);
    if (pen_dir_remove_tree(mirror->path, &err) == 0)
        return true;
    pen_log(PEN_LOG_WARNING, "cannot remove a broken mirror", "path=%s reason=%s", mirror->path,
            err.message);
    return false;
}

bool pen_mirror_renew(struct pen_sources_state *self, struct pen_mirror *mirror, const char *why)
{
    CHECK(!mirror->fetching);
    int64_t now_ms = pen_clock_monotonic_ms();
    if (mirror->renewing)
        return true; /* for somebody else who could not read it */
    if (mirror->renewed_ms != 0 && !mirror->proven && now_ms - mirror->renewed_ms < RENEW_PAUSE_MS)
        return false;
    pen_log(PEN_LOG_WARNING, "a mirror is damaged and fetched again", "url=%s path=%s reason=%s",
            mirror->url.text, mirror->path, why);
    if (!throw_away(self, mirror))
        return false;
    mirror->renewing = mirror->wanted = true;
    mirror->proven = false;
    mirror->renewed_ms = now_ms;
    return true;
}

/* A fetch has failed. True: the mirror was to blame, and another fetch is worth a try. */
static bool overcome(struct pen_sources_state *self, struct pen_mirror *mirror, int status,
                     const char *reason)
{
    struct pen_error why = {0};
    bool locked = strstr(pen_buf_text(&mirror->fetch.child.words), ".lock") != NULL;
    mirror->locked = locked ? mirror->locked + 1 : 0;
    if (mirror->killed || mirror->locked == LOCKED_MAX)
        (void)throw_away(self, mirror);
    if (mirror->timed_out || mirror->unwanted)
        return false;
    if (mirror->locked > LOCKED_MAX) {
        mirror->locked = 0; /* even the new one is locked: say so */
        return false;
    }
    if (locked) {
        mirror->wanted = true; /* another git may have held it for a moment */
        return true;
    }
    if (status == 0 || pen_fetch_blames_mirror(&mirror->fetch))
        return pen_mirror_renew(self, mirror, reason);
    if (self->upkeep.mirror == mirror)
        return false; /* a merge looks like damage: the next failure tells */
    return pen_git_check(mirror->path, &why) == PEN_ECORRUPT &&
           pen_mirror_renew(self, mirror, why.message);
}

/* What the fetch has come to; NULL: the mirror has what the other side has. */
static const char *judge(const struct pen_sources_state *self, const struct pen_mirror *mirror,
                         int status, struct pen_buf *ret_reason)
{
    struct pen_error why = {0};
    if (mirror->timed_out) {
        pen_buf_printf(ret_reason, "git did not end within %" PRId64 " s and was killed",
                       (self->fetch_timeout_ms + 999) / 1000);
        return "SystemUnavailable";
    }
    if (status != 0)
        return pen_fetch_judge(&mirror->fetch, ret_reason);
    if (mirror->fetch.passed.size > 0) {
        pen_buf_printf(ret_reason, "git has passed over a ref: %.300s",
                       pen_buf_text(&mirror->fetch.passed));
        return "SystemUnavailable";
    }
    if (pen_git_check_told(mirror->path, &mirror->fetch.told, &why) < 0) {
        pen_buf_puts(ret_reason, why.message);
        return "SystemUnavailable";
    }
    return NULL;
}

int pen_mirror_fetched(struct pen_sources_state *self, struct pen_mirror *mirror,
                       struct pen_error *err)
{
    int status = 0;
    CHECK(mirror->fetching);
    int rc = pen_fetch_finish(&mirror->fetch, &status, err);
    mirror->fetching = false;
    PEN_CLEANUP(pen_buf_release) struct pen_buf reason = {0};
    const char *error_code = rc == 0 ? judge(self, mirror, status, &reason) : NULL;
    bool again = error_code && overcome(self, mirror, status, pen_buf_text(&reason));
    pen_fetch_release(&mirror->fetch);
    mirror->fetch = PEN_FETCH_NONE;
    if (rc < 0)
        return rc;
    if (again || mirror->unwanted)
        return pen_looks_mirror(self, mirror, false, NULL,
                                err); /* all others wait for the next fetch */
    if (!error_code)
        pen_upkeep_consider(mirror);
    return tell(self, mirror, error_code, pen_buf_text(&reason), err);
}

void pen_mirrors_check(struct pen_sources_state *self, int64_t now_ms)
{
    for (struct pen_mirror *at = self->mirrors; at; at = at->next) {
        if (!at->fetching || now_ms < at->deadline_ms)
            continue;
        if (!at->timed_out && !at->unwanted) {
            at->timed_out = true;
            pen_git_child_kill(&at->fetch.child, SIGTERM);
            at->deadline_ms = now_ms + PEN_FETCH_GRACE_MS;
        } else {
            at->killed = true;
            pen_git_child_kill(&at->fetch.child, SIGKILL);
            at->deadline_ms = now_ms + PEN_FETCH_GRACE_MS;
        }
    }
}

int64_t pen_mirrors_deadline_ms(const struct pen_sources_state *self)
{
    int64_t deadline_ms = INT64_MAX;
    for (const struct pen_mirror *at = self->mirrors; at; at = at->next)
        if (at->fetching && at->deadline_ms < deadline_ms)
            deadline_ms = at->deadline_ms;
    return deadline_ms;
}

void pen_mirrors_drop(struct pen_sources_state *self, const char *connection_id)
{
    for (struct pen_mirror **at = &self->mirrors; *at;) {
        struct pen_mirror *mirror = *at;
        if (!pen_str_equal(mirror->connection_id, connection_id) || mirror->fetching ||
            pen_runs_wait_for(self, mirror)) {
            at = &mirror->next;
            continue;
        }
        *at = mirror->next;
        pen_upkeep_stop(self, mirror);
        (void)pen_dir_remove_tree(mirror->path, NULL);
        pen_mirror_destroy(&mirror);
    }
}
