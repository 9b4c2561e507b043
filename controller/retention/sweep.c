/* Files that no row names: what is needed is marked from one snapshot, and the rest is dropped. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/base/units.h"
#include "common/blob/archive.h"
#include "common/io/clock.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/artifacts/layout.h"
#include "controller/retention/internal.h"

enum { PAGE = 1000 };

bool retention_log_size(const struct pen_retention *self, uint64_t fence, uint64_t *ret_size)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_layout_log(self->dir, fence, &path);
    struct stat status;
    if (pen_buf_ok(&path, NULL) < 0 || stat(pen_buf_text(&path), &status) < 0)
        return false;
    *ret_size = (uint64_t)status.st_size;
    return true;
}

/* ---- marking */

struct page {
    struct pen_retention *self;
    Pen__RowKind kind;
    uint64_t before;
    size_t rows;
    char after[600];
};

static bool goes(const struct pen_retention *self, const char *execution_id)
{
    return execution_id != NULL && self->gone.count > 0 &&
           pen_map_get(&self->gone, pen_key_text(execution_id)) != NULL;
}

static int mark_row(void *context, const char *key, const ProtobufCMessage *row,
                    struct pen_error *err)
{
    (void)err;
    struct page *page = context;
    struct pen_marks *marks = &page->self->marks;
    page->rows++;
    (void)pen_str_copy(page->after, sizeof page->after, key);
    switch ((int)page->kind) {
    case PEN__ROW_KIND__ROW_EXECUTION: {
        const Pen__ExecutionRow *execution = (const Pen__ExecutionRow *)row;
        page->before = execution->order;
        if (!goes(page->self, execution->id))
            pen_marks_execution(marks, execution);
        return 0;
    }
    case PEN__ROW_KIND__ROW_ATTEMPT: {
        const Pen__AttemptRow *attempt = (const Pen__AttemptRow *)row;
        page->before = attempt->fence;
        if (!goes(page->self, attempt->execution_id))
            pen_marks_attempt(marks, attempt);
        return 0;
    }
    case PEN__ROW_KIND__ROW_STAGE_STATE:
        pen_marks_stage(marks, (const Pen__StageStateRow *)row);
        return 0;
    default: { /* actions, and the work of rules */
        const Pen__ActionExecutionRow *action = (const Pen__ActionExecutionRow *)row;
        page->before = action->order;
        if (!goes(page->self, action->execution_id))
            pen_marks_action(marks, action);
        return 0;
    }
    }
}

static int mark_kind(struct pen_retention *self, Pen__RowKind kind, struct pen_error *err)
{
    struct page page = {.self = self, .kind = kind};
    bool keyed = kind == PEN__ROW_KIND__ROW_STAGE_STATE;
    int rc;
    do {
        const struct pen_list_query query = {.kind = kind,
                                             .before_order = page.before,
                                             .after_key = keyed ? page.after : NULL,
                                             .limit = PAGE};
        page.rows = 0;
        if ((rc = retention_listen(self)) != 0 ||
            (rc = pen_reader_list(self->reader, &query, mark_row, &page, err)) < 0)
            return rc;
    } while (page.rows == PAGE && (keyed || page.before > 1));
    return 0;
}

/* One snapshot: what moves from row to row in the meantime is in the old one or in the new one. */
static int mark_rows(struct pen_retention *self, struct pen_error *err)
{
    static const Pen__RowKind kinds[] = {PEN__ROW_KIND__ROW_STAGE_STATE,
                                         PEN__ROW_KIND__ROW_EXECUTION,
                                         PEN__ROW_KIND__ROW_ACTION_EXECUTION,
                                         PEN__ROW_KIND__ROW_RULE_WORK, PEN__ROW_KIND__ROW_ATTEMPT};
    PEN_CLEANUP(pen_message_destroy) Pen__SettingRow *setting = NULL;
    int rc = pen_reader_get(self->reader, PEN__ROW_KIND__ROW_SETTING, "main",
                            (ProtobufCMessage **)&setting, err);
    if (rc < 0)
        return rc;
    self->marks.last_fence = setting->last_fence;
    for (size_t i = 0; rc == 0 && i < sizeof kinds / sizeof kinds[0]; i++)
        rc = mark_kind(self, kinds[i], err);
    return rc;
}

/* A manifest that is gone protects nothing; one that cannot be read stops the collection, since
 * its chunks are not known. */
static int mark_chunks(struct pen_retention *self, struct pen_error *err)
{
    for (size_t i = 0; i < self->marks.manifests_count; i++) {
        const uint8_t *name = self->marks.manifests[i];
        PEN_CLEANUP(pen_message_destroy) Pen__Manifest *manifest = NULL;
        int rc = retention_listen(self);
        if (rc != 0 || (rc = pen_marks_blob(&self->marks, name, err)) < 0)
            return rc;
        rc = pen_manifest_get(self->store, name, &manifest, err);
        if (rc == PEN_ENOTFOUND)
            continue;
        if (rc < 0)
            return pen_error_prefix(err, "no artifact is deleted, because one cannot be read");
        for (size_t k = 0; k < manifest->n_chunks; k++)
            if ((rc = pen_marks_blob(&self->marks, manifest->chunks[k]->sha256.data, err)) < 0)
                return rc;
    }
    return 0;
}

/* ---- blobs */

struct blob_sweep {
    struct pen_retention *self;
    int64_t before_ms;
};

static int sweep_blob(void *context, const struct pen_blob_found *found, struct pen_error *err)
{
    struct blob_sweep *sweep = context;
    struct pen_retention *self = sweep->self;
    Pen__CollectionReport *report = self->report;
    if (pen_marks_has_blob(&self->marks, found->sha256))
        return 0;
    bool goes_now = found->modified_ms < sweep->before_ms;
    if (goes_now && !self->order->dry_run) {
        int rc = pen_blob_drop(self->store, found->sha256, sweep->before_ms, &goes_now, err);
        if (rc < 0)
            return rc;
    }
    report->blobs += goes_now ? 1 : 0;
    report->blob_bytes += goes_now ? found->stored_size : 0;
    report->blobs_young += goes_now ? 0 : 1;
    return 0;
}

static int sweep_blobs(struct pen_retention *self, int64_t before_ms, struct pen_error *err)
{
    struct blob_sweep sweep = {.self = self, .before_ms = before_ms};
    int rc = 0;
    self->report->has_blobs = self->report->has_blob_bytes = true;
    self->report->has_blobs_young = true;
    for (unsigned folder = 0; rc == 0 && folder < PEN_BLOB_FOLDERS; folder++) {
        rc = retention_listen(self);
        if (rc == 0)
            rc = pen_blob_list(self->store, folder, sweep_blob, &sweep, err);
    }
    return rc;
}

/* ---- logs */

/* A name of digits and this end; 0 is none, as no fence is. */
static uint64_t number_of(const char *name, const char *end)
{
    size_t digits = strspn(name, "0123456789");
    if (digits == 0 || digits > 19 || strcmp(name + digits, end) != 0)
        return 0;
    return strtoull(name, NULL, 10);
}

static int sweep_log(struct pen_retention *self, int folder_fd, const char *name,
                     struct pen_error *err)
{
    uint64_t fence = number_of(name, ".log");
    struct stat status;
    if (fence == 0 || pen_marks_has_log(&self->marks, fence) ||
        fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode))
        return 0;
    if (!self->order->dry_run && unlinkat(folder_fd, name, 0) < 0 && errno != ENOENT)
        return pen_fail_errno(err, "the log of attempt %" PRIu64, fence);
    self->report->logs++;
    self->report->log_bytes += (uint64_t)status.st_size;
    return 0;
}

static int sweep_log_folder(struct pen_retention *self, int logs_fd, const char *name,
                            struct pen_error *err)
{
    int fd = openat(logs_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return 0; /* no folder of ours */
    }
    int rc = retention_listen(self);
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(stream)) != NULL)
        rc = sweep_log(self, dirfd(stream), entry->d_name, err);
    (void)closedir(stream);
    return rc;
}

static int sweep_logs(struct pen_retention *self, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_layout_path(self->dir, "logs", &path);
    int rc = pen_buf_ok(&path, err);
    DIR *stream = rc < 0 ? NULL : opendir(pen_buf_text(&path));
    if (stream == NULL)
        return rc < 0 ? rc : pen_fail_errno(err, "%s", pen_buf_text(&path));
    self->report->has_logs = self->report->has_log_bytes = true;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(stream)) != NULL)
        if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name))
            rc = sweep_log_folder(self, dirfd(stream), entry->d_name, err);
    (void)closedir(stream);
    return rc;
}

int retention_files(struct pen_retention *self, struct pen_error *err)
{
    int64_t before_ms = pen_clock_wall_ms() - PEN_LIMIT_BLOB_GRACE_MS;
    int rc = pen_reader_begin(self->reader, err);
    if (rc < 0)
        return rc;
    rc = mark_rows(self, err);
    pen_reader_end(self->reader);
    if (rc == 0)
        rc = pen_marks_settle(&self->marks, err);
    if (rc == 0)
        rc = sweep_logs(self, err);
    if (rc == 0)
        rc = mark_chunks(self, err);
    return rc != 0 ? rc : sweep_blobs(self, before_ms, err);
}
