#include "controller/data/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/artifacts/layout.h"
#include "controller/post/post.h"

enum { SYNC_DELAY_MS = 200 }; /* an acknowledgement waits no longer than this for company */

/* ---- answers */

static void acknowledge(struct pen_data *self, const struct pen_link *link,
                        const struct attempt *attempt)
{
    Pen__LogAck ack = PEN__LOG_ACK__INIT;
    ack.has_fence = true;
    ack.fence = attempt->fence;
    ack.has_offset = true;
    ack.offset = attempt->log.synced;
    ack.has_credit_bytes = true;
    ack.credit_bytes = PEN_LIMIT_LOG_CREDIT_BYTES;
    Pen__DataToAgent answer = PEN__DATA_TO_AGENT__INIT;
    answer.body_case = PEN__DATA_TO_AGENT__BODY_LOG_ACK;
    answer.log_ack = &ack;
    pen_data_answer(self, link, &answer);
}

static void ask_again(struct pen_data *self, const struct pen_link *link,
                      const struct attempt *attempt)
{
    Pen__LogResend resend = PEN__LOG_RESEND__INIT;
    resend.has_fence = true;
    resend.fence = attempt->fence;
    resend.has_offset = true;
    resend.offset = attempt->log.size;
    Pen__DataToAgent answer = PEN__DATA_TO_AGENT__INIT;
    answer.body_case = PEN__DATA_TO_AGENT__BODY_LOG_RESEND;
    answer.log_resend = &resend;
    pen_data_answer(self, link, &answer);
}

/* ---- the file */

static int path_of(const struct pen_data *self, const struct attempt *attempt,
                   struct pen_buf *ret_path, struct pen_error *err)
{
    pen_layout_log(self->dir, attempt->fence, ret_path);
    return pen_buf_ok(ret_path, err);
}

static int measure(struct pen_data *self, struct attempt *attempt, struct pen_error *err)
{
    if (attempt->log.measured)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    int rc = path_of(self, attempt, &path, err);
    if (rc < 0)
        return rc;
    struct stat status;
    if (stat(pen_buf_text(&path), &status) < 0) {
        if (errno != ENOENT)
            return pen_fail_errno(err, "log of attempt %" PRIu64, attempt->fence);
        status.st_size = 0;
    }
    attempt->log.size = (uint64_t)status.st_size;
    if (attempt->log.floor == 0)
        attempt->log.floor = attempt->log.size;
    attempt->log.synced = 0; /* a former life of this process may not have come to it */
    attempt->log.measured = true;
    return 0;
}

static void close_file(struct pen_data *self, struct attempt *attempt)
{
    if (attempt->log.fd < 0)
        return;
    pen_fd_close(&attempt->log.fd);
    self->log_files_open--;
}

static void close_least_used(struct pen_data *self)
{
    struct attempt *least = NULL;
    struct pen_map_node *node = pen_map_first(&self->attempts);
    for (; node != NULL; node = pen_map_next(node)) {
        struct attempt *each = pen_map_value(node);
        if (each->log.fd >= 0 && (least == NULL || each->log.used < least->log.used))
            least = each;
    }
    CHECK(least != NULL);
    close_file(self, least); /* if it is dirty, it is opened again to be synced */
}

static int open_file(struct pen_data *self, struct attempt *attempt, struct pen_error *err)
{
    attempt->log.used = ++self->log_ticks;
    if (attempt->log.fd >= 0)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf folder = {0};
    int rc = path_of(self, attempt, &path, err);
    if (rc < 0)
        return rc;
    rc = pen_file_open(pen_buf_text(&path), O_WRONLY | O_CREAT, 0640, &attempt->log.fd, err);
    if (rc == PEN_ENOTFOUND) { /* the first log of its thousand */
        pen_layout_log_folder(self->dir, attempt->fence, &folder);
        if ((rc = pen_buf_ok(&folder, err)) == 0 &&
            (rc = pen_dir_make(pen_buf_text(&folder), 0750, err)) == 0)
            rc =
                pen_file_open(pen_buf_text(&path), O_WRONLY | O_CREAT, 0640, &attempt->log.fd, err);
    }
    if (rc < 0)
        return rc;
    self->log_files_open++;
    if (self->log_files_open > PEN_LIMIT_LOG_FILES_OPEN)
        close_least_used(self); /* never this one: it was used last */
    return 0;
}

/* Cut the file to a size that it has surely held. */
static int cut_to(struct attempt *attempt, uint64_t size, struct pen_error *err)
{
    if (ftruncate(attempt->log.fd, (off_t)size) < 0)
        return pen_fail_errno(err, "the log of attempt %" PRIu64 " cannot be cut back",
                              attempt->fence);
    attempt->log.size = size;
    return 0;
}

static int append(struct attempt *attempt, const uint8_t *bytes, size_t size, struct pen_error *err)
{
    size_t done = 0;
    while (done < size) {
        ssize_t written =
            pwrite(attempt->log.fd, bytes + done, size - done, (off_t)(attempt->log.size + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            if (written == 0)
                errno = EIO;
            int rc =
                pen_fail_errno(err, "the log of attempt %" PRIu64 " cannot grow", attempt->fence);
            /* Half a piece must not stay. Should even this fail, the file is measured anew. */
            if (cut_to(attempt, attempt->log.size, NULL) < 0)
                attempt->log.measured = false;
            return rc;
        }
        done += (size_t)written;
    }
    attempt->log.size += size;
    return 0;
}

/* ---- dirty logs */

static int mark_dirty(struct pen_data *self, struct attempt *attempt, struct pen_error *err)
{
    if (attempt->log.dirty)
        return 0;
    if (self->dirty_count == self->dirty_capacity) {
        size_t capacity = self->dirty_capacity == 0 ? 64 : self->dirty_capacity * 2;
        struct attempt **dirty = reallocarray(self->dirty, capacity, sizeof dirty[0]);
        if (dirty == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for %zu logs", capacity);
        self->dirty = dirty;
        self->dirty_capacity = capacity;
    }
    self->dirty[self->dirty_count++] = attempt;
    attempt->log.dirty = true;
    attempt->log.dirty_since_ms = pen_clock_monotonic_ms();
    return 0;
}

static void mark_clean(struct pen_data *self, struct attempt *attempt)
{
    for (size_t i = 0; attempt->log.dirty && i < self->dirty_count; i++) {
        if (self->dirty[i] != attempt)
            continue;
        self->dirty[i] = self->dirty[--self->dirty_count];
        attempt->log.dirty = false;
    }
}

/* ---- messages */

static uint64_t bytes_max(const struct attempt *attempt)
{
    uint64_t wanted = attempt->open->has_log_bytes_max ? attempt->open->log_bytes_max : 0;
    if (wanted == 0 || wanted > INT64_MAX - PEN_LIMIT_LOG_CUT_NOTICE_BYTES)
        wanted = PEN_LIMIT_LOG_BYTES_DEFAULT;
    return wanted + PEN_LIMIT_LOG_CUT_NOTICE_BYTES;
}

static int check_limits(const struct attempt *attempt, const Pen__LogData *data,
                        struct pen_error *err)
{
    size_t size = data->has_bytes ? data->bytes.len : 0;
    if (size > PEN_LIMIT_PIECE_BYTES)
        return pen_fail(err, PEN_ELIMIT, "a piece of %zu bytes is larger than %d", size,
                        PEN_LIMIT_PIECE_BYTES);
    if (!data->has_offset || data->offset > INT64_MAX - size)
        return pen_fail(err, PEN_EINVAL, "the offset is missing or out of range");
    if (data->offset + size > bytes_max(attempt))
        return pen_fail(err, PEN_ELIMIT, "the log is longer than the %" PRIu64 " bytes allowed",
                        bytes_max(attempt));
    return 0;
}

/* Take the bytes if they are the next ones. */
static int take(struct pen_data *self, const struct pen_link *link, struct attempt *attempt,
                const Pen__LogData *data, struct pen_error *err)
{
    int rc = check_limits(attempt, data, err);
    if (rc < 0 || (rc = measure(self, attempt, err)) < 0)
        return rc;
    if (data->offset > attempt->log.size) {
        ask_again(self, link, attempt);
        return 0;
    }
    bool next = data->offset == attempt->log.size && data->has_bytes && data->bytes.len > 0;
    if (next) {
        if ((rc = open_file(self, attempt, err)) < 0 ||
            (rc = append(attempt, data->bytes.data, data->bytes.len, err)) < 0)
            return rc;
        if (!attempt->log.grew)
            self->grew_count++;
        attempt->log.grew = true;
    }
    if (attempt->log.synced == attempt->log.size) {
        acknowledge(self, link, attempt);
        return 0;
    }
    attempt->log.ack_link = link->number;
    return mark_dirty(self, attempt, err);
}

void pen_data_log(struct pen_data *self, const struct pen_link *link, const Pen__LogData *data)
{
    struct pen_error err;
    struct attempt *attempt = pen_data_attempt_of(self, link, data->has_fence, data->fence);
    if (attempt != NULL && take(self, link, attempt, data, &err) < 0)
        pen_data_refuse_error(self, link, &(struct refusal){.fence = data->fence}, &err);
}

/* ---- syncs */

static bool is_wanted(const struct attempt *attempt)
{
    return attempt->open->has_wanted_log_size && !attempt->log.stored_reported;
}

static int make_stored(const struct attempt *attempt, Pen__Input **ret_input, struct pen_error *err)
{
    Pen__Input *input = malloc(sizeof *input);
    Pen__LogStored *stored = malloc(sizeof *stored);
    if (input == NULL || stored == NULL) {
        free(input);
        free(stored);
        return pen_fail(err, PEN_ENOMEM, "no memory to report a log");
    }
    pen__input__init(input);
    pen__log_stored__init(stored);
    stored->has_fence = true;
    stored->fence = attempt->fence;
    stored->has_size = true;
    stored->size = attempt->log.synced;
    input->what_case = PEN__INPUT__WHAT_LOG_STORED;
    input->log_stored = stored;
    *ret_input = input;
    return 0;
}

static void set_stored_waits(struct pen_data *self, struct attempt *attempt, bool waits)
{
    if (attempt->log.stored_waits != waits)
        self->stored_waiting += waits ? 1 : (size_t)-1;
    attempt->log.stored_waits = waits;
}

/* Tell the core once what it wants to know: nobody would ever ask again. */
static void report_stored(struct pen_data *self, struct attempt *attempt)
{
    if (!is_wanted(attempt) || !attempt->log.measured || attempt->log.synced < attempt->log.size ||
        attempt->log.synced < attempt->open->wanted_log_size)
        return;
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = NULL;
    attempt->log.stored_reported =
        make_stored(attempt, &input, NULL) == 0 && pen_data_post(self, &input);
    set_stored_waits(self, attempt, !attempt->log.stored_reported);
    self->posts_wait |= !attempt->log.stored_reported;
}

static void report_waiting(struct pen_data *self)
{
    struct pen_map_node *node = self->stored_waiting == 0 ? NULL : pen_map_first(&self->attempts);
    for (; node != NULL; node = pen_map_next(node)) {
        struct attempt *attempt = pen_map_value(node);
        if (attempt->log.stored_waits)
            report_stored(self, attempt);
    }
}

/* The names of a new log and of its folder have to be on disk, too, before the first
 * acknowledgement. */
static int sync_entry(const struct pen_data *self, struct attempt *attempt, struct pen_error *err)
{
    if (attempt->log.entry_synced)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf folder = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf logs = {0};
    pen_layout_log_folder(self->dir, attempt->fence, &folder);
    pen_layout_path(self->dir, "logs", &logs);
    int rc = pen_buf_ok(&folder, err);
    if (rc < 0 || (rc = pen_buf_ok(&logs, err)) < 0 ||
        (rc = pen_dir_sync(pen_buf_text(&folder), err)) < 0 ||
        (rc = pen_dir_sync(pen_buf_text(&logs), err)) < 0)
        return rc;
    attempt->log.entry_synced = true;
    return 0;
}

static int sync_file(struct pen_data *self, struct attempt *attempt, struct pen_error *err)
{
    if (attempt->log.size == attempt->log.synced)
        return 0;
    int rc = open_file(self, attempt, err);
    if (rc < 0)
        return rc;
    if (fdatasync(attempt->log.fd) < 0)
        return pen_fail_errno(err, "the log of attempt %" PRIu64 " cannot be synced",
                              attempt->fence);
    if ((rc = sync_entry(self, attempt, err)) < 0)
        return rc;
    attempt->log.synced = attempt->log.size;
    return 0;
}

/* Sync and tell whom it concerns. When the disk refuses, what it may have lost is cut off, and the
 * agent, which still has it, is asked to try again later. */
static int settle(struct pen_data *self, struct attempt *attempt, struct pen_error *err)
{
    struct pen_error why;
    const struct pen_link *link =
        attempt->log.ack_link == 0
            ? NULL
            : pen_plane_link(self->plane, attempt->log.ack_link, attempt->open->agent_id);
    attempt->log.ack_link = 0;
    mark_clean(self, attempt);
    if (sync_file(self, attempt, &why) < 0) {
        pen_log(PEN_LOG_ERROR, "a log cannot be stored", "fence=%" PRIu64 " reason=\"%s\"",
                attempt->fence, why.message);
        if (link != NULL)
            pen_data_refuse(self, link, PEN__REFUSED_CODE__FULL,
                            &(struct refusal){.fence = attempt->fence}, why.message);
        if (attempt->log.fd < 0)
            return 0; /* nothing was tried; it is dirty again at the next message */
        uint64_t held = attempt->log.synced;
        return cut_to(attempt, held > attempt->log.floor ? held : attempt->log.floor, err);
    }
    if (link != NULL)
        acknowledge(self, link, attempt);
    report_stored(self, attempt);
    return 0;
}

static void wake_followers(struct pen_data *self)
{
    if (self->grew_count == 0)
        return;
    struct pen_map_node *node = pen_map_first(&self->attempts);
    for (; node != NULL; node = pen_map_next(node)) {
        struct attempt *attempt = pen_map_value(node);
        if (!attempt->log.grew)
            continue;
        const struct pen_post post = {.kind = PEN_POST_LOG_GREW, .number = attempt->fence};
        if (self->http != NULL && pen_inbox_post(self->http, &post, NULL) < 0) {
            self->posts_wait = true;
            return;
        }
        attempt->log.grew = false;
        self->grew_count--;
    }
}

int pen_data_logs_sync(struct pen_data *self, bool idle, struct pen_error *err)
{
    int64_t now_ms = self->dirty_count > 0 ? pen_clock_monotonic_ms() : 0;
    for (size_t i = self->dirty_count; i > 0; i--) { /* settle() moves the last one down */
        struct attempt *attempt = self->dirty[i - 1];
        bool now = idle || now_ms - attempt->log.dirty_since_ms >= SYNC_DELAY_MS ||
                   (is_wanted(attempt) && attempt->log.size >= attempt->open->wanted_log_size);
        int rc = now ? settle(self, attempt, err) : 0;
        if (rc < 0)
            return rc;
    }
    report_waiting(self);
    wake_followers(self);
    return 0;
}

void pen_data_log_opened(struct pen_data *self, struct attempt *attempt)
{
    struct pen_error err;
    attempt->log.stored_reported = false;
    set_stored_waits(self, attempt, false);
    if (!is_wanted(attempt))
        return;
    int rc = measure(self, attempt, &err);
    if (rc == 0 && attempt->log.synced < attempt->log.size)
        rc = mark_dirty(self, attempt, &err); /* synced, and then reported, in this very turn */
    if (rc < 0)
        pen_log(PEN_LOG_ERROR, "a log cannot be read", "fence=%" PRIu64 " reason=\"%s\"",
                attempt->fence, err.message);
    else
        report_stored(self, attempt);
}

void pen_data_log_close(struct pen_data *self, struct attempt *attempt)
{
    struct pen_error err;
    if (attempt->log.dirty && sync_file(self, attempt, &err) < 0)
        pen_log(PEN_LOG_ERROR, "a log cannot be stored", "fence=%" PRIu64 " reason=\"%s\"",
                attempt->fence, err.message);
    mark_clean(self, attempt);
    set_stored_waits(self, attempt, false);
    if (attempt->log.grew) {
        const struct pen_post post = {.kind = PEN_POST_LOG_GREW, .number = attempt->fence};
        if (self->http != NULL)
            (void)pen_inbox_post(self->http, &post,
                                 NULL); /* its followers also wait with a limit */
        attempt->log.grew = false;
        self->grew_count--;
    }
    close_file(self, attempt);
}
