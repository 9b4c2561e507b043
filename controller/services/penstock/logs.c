/* GetLogs: a range of the log of one attempt, now or when there is more */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/keys/digest.h"
#include "common/wire/wire.h"
#include "controller/artifacts/layout.h"
#include "controller/services/codepipeline/names.h"
#include "controller/services/output.h"
#include "controller/services/penstock/penstock.h"
#include "controller/services/read.h"

enum {
    LOG_PAGE_DEFAULT = 64 * 1024,
    ROWS_MAX = 10000, /* actions, or attempts, of one execution that are looked at */
};

/* What is shown, and from where. */
struct view {
    Pen__ActionExecutionRow *action;
    struct pen_rows attempts;       /* of the whole execution */
    const Pen__AttemptRow *attempt; /* the one whose log it is; NULL: none yet */
    struct pen_buf data;
    uint64_t offset;
    uint64_t size;
    char damage[256]; /* "": what is stored is what the attempt wrote, as far as is known */
};

static void view_release(struct view *self)
{
    pen_message_destroy(&self->action);
    pen_rows_release(&self->attempts);
    pen_buf_release(&self->data);
}

static int no_action(struct pen_error *err, const char *what)
{
    return pen_fail_api(err, PEN_ENOTFOUND, "ActionExecutionNotFoundException", "%s", what);
}

/* The newest row of this kind that fits; one that has run on an agent is preferred. */
static int find_of_kind(struct pen_call *call, Pen__RowKind kind, const char *execution,
                        struct view *view, struct pen_error *err)
{
    const char *stage = pen_in_string(call->input, "stageName");
    const char *name = pen_in_string(call->input, "actionName");
    const struct pen_list_query query = {.kind = kind, .execution = execution, .limit = ROWS_MAX};
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    int rc = pen_read_list(call, &query, &rows, err);
    if (rc < 0)
        return rc;
    ProtobufCMessage **best = NULL;
    for (size_t i = 0; i < rows.count; i++) {
        const Pen__ActionExecutionRow *row = (const Pen__ActionExecutionRow *)rows.rows[i];
        if ((stage != NULL && !pen_str_equal(row->stage, stage)) ||
            (name != NULL && !pen_str_equal(row->action, name)))
            continue;
        if (best == NULL || (row->fence != 0 && ((Pen__ActionExecutionRow *)*best)->fence == 0))
            best = &rows.rows[i];
    }
    if (best != NULL)
        view->action = (Pen__ActionExecutionRow *)TAKE_PTR(*best);
    return 0;
}

/* An action; or, when there is none of this name, a rule. */
static int find_in_execution(struct pen_call *call, const char *execution, struct view *view,
                             struct pen_error *err)
{
    int rc = find_of_kind(call, PEN__ROW_KIND__ROW_ACTION_EXECUTION, execution, view, err);
    if (rc == 0 && view->action == NULL)
        rc = find_of_kind(call, PEN__ROW_KIND__ROW_RULE_WORK, execution, view, err);
    if (rc == 0 && view->action == NULL)
        return no_action(err, "The execution has not started such an action, nor a rule of this "
                              "name that runs commands");
    return rc;
}

static int find_action(struct pen_call *call, struct view *view, struct pen_error *err)
{
    const char *id = pen_in_string(call->input, "actionExecutionId");
    const char *pipeline = pen_in_string(call->input, "pipelineName");
    const char *execution_id = pen_in_string(call->input, "executionId");
    if (id != NULL) {
        int rc = pen_read_work(call, id, &view->action, err);
        return rc == 0 && view->action == NULL ? no_action(err, "There is no such action execution")
                                               : rc;
    }
    if (pipeline == NULL)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "Give actionExecutionId or pipelineName");
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *row = NULL;
    PEN_CLEANUP(pen_message_destroy) Pen__ExecutionRow *execution = NULL;
    int rc = pen_read_pipeline(call, pipeline, &row, err);
    if (rc < 0)
        return rc;
    rc = execution_id != NULL ? pen_read_execution(call, row, execution_id, &execution, err)
                              : pen_read_latest_execution(call, row, &execution, err);
    return rc < 0 ? rc : find_in_execution(call, execution->id, view, err);
}

static int find_attempt(struct pen_call *call, struct view *view, struct pen_error *err)
{
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_ATTEMPT,
                                         .execution = view->action->execution_id,
                                         .limit = ROWS_MAX};
    int rc = pen_read_list(call, &query, &view->attempts, err);
    if (rc < 0)
        return rc;
    uint64_t asked = (uint64_t)pen_in_integer(call->input, "fence", 0);
    uint64_t fence = asked != 0 ? asked : view->action->fence;
    for (size_t i = 0; i < view->attempts.count; i++) {
        const Pen__AttemptRow *row = (const Pen__AttemptRow *)view->attempts.rows[i];
        if (row->fence == fence && pen_str_equal(row->action_execution_id, view->action->id))
            view->attempt = row;
    }
    if (asked != 0 && view->attempt == NULL)
        return no_action(err, "The action execution has no attempt with this fence");
    return 0;
}

/* Whether no further byte can come: the attempt has ended, or the action without any. */
static bool has_ended(const struct view *view)
{
    if (view->attempt == NULL)
        return view->action->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS;
    switch (view->attempt->state) {
    case PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED:
    case PEN__ATTEMPT_STATE__ATTEMPT_FAILED:
    case PEN__ATTEMPT_STATE__ATTEMPT_CANCELED:
    case PEN__ATTEMPT_STATE__ATTEMPT_LOST:
        return true;
    case PEN__ATTEMPT_STATE__ATTEMPT_GRANTED:
    case PEN__ATTEMPT_STATE__ATTEMPT_RUNNING:
    case PEN__ATTEMPT_STATE__ATTEMPT_CANCELING:
    case PEN__ATTEMPT_STATE__ATTEMPT_DRAINING:
    case PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE:
    case PEN__ATTEMPT_STATE__ATTEMPT_REVOKING:
    default:
        return false;
    }
}

/* Whether the whole file hashes to what the attempt wrote. Unreadable counts as different. */
static bool has_digest(int fd, uint64_t size, const uint8_t sha256[PEN_SHA256_SIZE])
{
    PEN_CLEANUP(pen_sha256_stream_destroy) struct pen_sha256_stream *stream = NULL;
    uint8_t bytes[LOG_PAGE_DEFAULT];
    uint8_t digest[PEN_SHA256_SIZE];
    if (pen_sha256_stream_create(&stream, NULL) < 0)
        return true; /* no memory: nothing is known */
    for (uint64_t done = 0; done < size;) {
        ssize_t got = pread(fd, bytes, sizeof bytes, (off_t)done);
        if (got <= 0)
            return false;
        pen_sha256_stream_add(stream, bytes, (size_t)got);
        done += (uint64_t)got;
    }
    pen_sha256_stream_digest(stream, digest);
    return memcmp(digest, sha256, sizeof digest) == 0;
}

/* What is stored of an attempt that has ended, against what it has reported. The digest is computed
 * for the answer that would say that the log is complete, and not of a huge log: everybody waits.
 */
static void check_damage(struct view *view, int fd)
{
    const Pen__Finished *finished = view->attempt->finished;
    if (!has_ended(view) || finished == NULL || !finished->has_log_size)
        return;
    uint64_t stored = view->attempt->log_stored;
    bool last = view->offset + view->data.size >= view->size;
    if (view->size < finished->log_size && view->size >= stored && stored < finished->log_size)
        (void)snprintf(view->damage, sizeof view->damage,
                       "the log had %" PRIu64 " bytes, and its end, %" PRIu64
                       " bytes, never arrived",
                       finished->log_size, finished->log_size - view->size);
    else if (view->size != finished->log_size)
        (void)snprintf(view->damage, sizeof view->damage,
                       "the log is damaged: it had %" PRIu64 " bytes, and %" PRIu64 " are stored",
                       finished->log_size, view->size);
    else if (last && view->size > 0 && view->size <= PEN_LIMIT_LOG_VERIFY_BYTES &&
             finished->log_sha256.len == PEN_SHA256_SIZE &&
             !has_digest(fd, view->size, finished->log_sha256.data))
        (void)snprintf(view->damage, sizeof view->damage,
                       "the log is damaged: its %" PRIu64
                       " bytes are not those that the attempt wrote",
                       view->size);
}

static int read_page(struct pen_call *call, struct view *view, int fd, struct pen_error *err)
{
    if (view->offset >= view->size)
        return 0;
    uint64_t wanted = (uint64_t)pen_in_integer(call->input, "limit", LOG_PAGE_DEFAULT);
    if (wanted > PEN_LIMIT_LOG_PAGE_BYTES)
        wanted = PEN_LIMIT_LOG_PAGE_BYTES;
    if (wanted > view->size - view->offset)
        wanted = view->size - view->offset;
    uint8_t *into = pen_buf_reserve(&view->data, (size_t)wanted);
    if (into == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a page of log");
    ssize_t got = pread(fd, into, (size_t)wanted, (off_t)view->offset);
    if (got < 0)
        return pen_fail_errno(err, "log of attempt %" PRIu64, view->attempt->fence);
    pen_buf_added(&view->data, (size_t)got);
    return 0;
}

/* Read only what is asked for. A log that has no byte yet has no file. */
static int read_range(struct pen_call *call, struct view *view, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_layout_log(call->services->dir, view->attempt->fence, &path);
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    int rc = pen_buf_ok(&path, err);
    if (rc == 0)
        rc = pen_file_open(pen_buf_text(&path), O_RDONLY, 0, &fd, err);
    if (rc == PEN_ENOTFOUND) {
        check_damage(view, -1);
        return 0;
    }
    struct stat facts = {0};
    if (rc == 0 && fstat(fd, &facts) < 0)
        rc = pen_fail_errno(err, "log of attempt %" PRIu64, view->attempt->fence);
    if (rc < 0)
        return rc;
    view->size = (uint64_t)facts.st_size;
    if ((rc = read_page(call, view, fd, err)) < 0)
        return rc;
    check_damage(view, fd);
    return 0;
}
static const char *attempt_state_name(Pen__AttemptState state)
{
    static const char *const names[] = {
        [PEN__ATTEMPT_STATE__ATTEMPT_GRANTED] = "Granted",
        [PEN__ATTEMPT_STATE__ATTEMPT_RUNNING] = "Running",
        [PEN__ATTEMPT_STATE__ATTEMPT_CANCELING] = "Canceling",
        [PEN__ATTEMPT_STATE__ATTEMPT_DRAINING] = "Draining",
        [PEN__ATTEMPT_STATE__ATTEMPT_SUCCEEDED] = "Succeeded",
        [PEN__ATTEMPT_STATE__ATTEMPT_FAILED] = "Failed",
        [PEN__ATTEMPT_STATE__ATTEMPT_CANCELED] = "Canceled",
        [PEN__ATTEMPT_STATE__ATTEMPT_LOST] = "Lost",
        [PEN__ATTEMPT_STATE__ATTEMPT_INDETERMINATE] = "Indeterminate",
        [PEN__ATTEMPT_STATE__ATTEMPT_REVOKING] = "Revoking",
    };
    size_t index = (size_t)state;
    return index < sizeof names / sizeof names[0] ? names[index] : NULL;
}

static int put_attempts(struct pen_call *call, const struct view *view, struct pen_error *err)
{
    json_t *list = pen_put_list(call, pen_output(call), "attempts");
    for (size_t i = 0; i < view->attempts.count; i++) {
        const Pen__AttemptRow *row = (const Pen__AttemptRow *)view->attempts.rows[i];
        if (!pen_str_equal(row->action_execution_id, view->action->id))
            continue;
        PEN_CLEANUP(pen_message_destroy) Pen__AgentRow *agent = NULL;
        int rc = row->agent_id == NULL ? 0
                                       : pen_read_optional(call, PEN__ROW_KIND__ROW_AGENT,
                                                           row->agent_id, &agent, err);
        if (rc < 0)
            return rc;
        json_t *item = pen_add_object(call, list);
        pen_put_integer(call, item, "fence", (int64_t)row->fence);
        pen_put_string(call, item, "agentId", row->agent_id);
        pen_put_string(call, item, "agentName", agent == NULL ? NULL : agent->name);
        pen_put_string(call, item, "state", attempt_state_name(row->state));
    }
    return 0;
}

static int put_view(struct pen_call *call, const struct view *view, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_base64_encode(view->data.data, view->data.size, &text);
    int rc = pen_buf_ok(&text, err);
    if (rc < 0)
        return rc;
    uint64_t next = view->offset + view->data.size;
    json_t *output = pen_output(call);
    pen_put_string(call, output, "actionExecutionId", view->action->id);
    pen_put_string(call, output, "status", pen_action_status_name(view->action->status));
    pen_put_string(call, output, "summary",
                   view->action->error_message != NULL ? view->action->error_message
                                                       : view->action->summary);
    if (view->attempt != NULL)
        pen_put_integer(call, output, "fence", (int64_t)view->attempt->fence);
    pen_put_integer(call, output, "offset", (int64_t)view->offset);
    pen_put_string(call, output, "data", pen_buf_text(&text));
    pen_put_integer(call, output, "nextOffset", (int64_t)next);
    pen_put_integer(call, output, "size", (int64_t)view->size);
    pen_put_boolean(call, output, "complete",
                    has_ended(view) && next >= view->size && *view->damage == 0);
    if (*view->damage != 0)
        pen_put_string(call, output, "damage", view->damage);
    return put_attempts(call, view, err);
}

/* Nothing new, but something may come: stand by. */
static bool has_to_wait(struct pen_call *call, const struct view *view)
{
    int64_t wait_s = pen_in_integer(call->input, "waitSeconds", 0);
    if (wait_s == 0 || call->waited_out || view->data.size > 0 || has_ended(view))
        return false;
    call->wait_ms = wait_s * 1000;
    call->wait.wanted = true;
    call->wait.fence = view->attempt == NULL ? 0 : view->attempt->fence;
    (void)pen_str_copy(call->wait.execution_id, sizeof call->wait.execution_id,
                       view->action->execution_id);
    return true;
}

int pen_get_logs(struct pen_call *call, struct pen_error *err)
{
    PEN_CLEANUP(view_release) struct view view = {0};
    view.offset = (uint64_t)pen_in_integer(call->input, "offset", 0);
    int rc = find_action(call, &view, err);
    if (rc < 0 || (rc = find_attempt(call, &view, err)) < 0)
        return rc;
    if (view.attempt != NULL && (rc = read_range(call, &view, err)) < 0)
        return rc;
    if (view.offset > view.size && *view.damage != 0)
        view.offset = view.size; /* the caller has read on before it was cut */
    if (view.offset > view.size)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "offset %" PRIu64 " is beyond the end of the log, %" PRIu64,
                            view.offset, view.size);
    return has_to_wait(call, &view) ? 0 : put_view(call, &view, err);
}
