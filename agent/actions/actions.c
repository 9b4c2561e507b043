#include "agent/actions/actions.h"

#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/actions/command.h"
#include "agent/cache/transfer.h"
#include "agent/cache/worker.h"
#include "agent/exec/exec.h"
#include "agent/logs/logs.h"
#include "agent/shim/shim.h"
#include "agent/workspace/workspace.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/map.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

enum { SCRIPT_ARGUMENT_MAX = 100 * 1024 }; /* the kernel takes 128 KiB in one argument */

enum phase { PHASE_FETCHING = 1, PHASE_RUNNING, PHASE_ENDED };

struct job {
    uint64_t fence;
    const Pen__Capsule *capsule;
    enum phase phase;
    size_t inputs_left;
    bool held;     /* prepared, and not to begin yet */
    char *failure; /* to report at the next turn */
    bool pack_failure;
    bool adopted;  /* begun by an earlier process */
    char **mounts; /* that the commands have left in the workspace */
    size_t mounts_count;
};

struct pen_actions {
    struct pen_actions_options options;
    char *shim_path;
    char *user; /* who we are, and so the commands; NULL: a number without a name */
    struct pen_exec *exec;
    struct pen_workspaces *workspaces;
    struct pen_logs *logs;
    struct pen_worker *worker;
    struct pen_transfers *transfers;
    struct pen_map jobs; /* fence to job */
    size_t failures;     /* jobs with one to report */
};

/* ---- jobs */

static struct job *job_get(const struct pen_actions *self, uint64_t fence)
{
    return pen_map_get(&self->jobs, pen_key_number(fence));
}

static struct job *job_add(struct pen_actions *self, const Pen__Capsule *capsule, enum phase phase)
{
    struct job *job = calloc(1, sizeof *job);
    CHECK(job != NULL); /* the journal knows the attempt: a restart goes on from there */
    job->fence = capsule->fence;
    job->capsule = capsule;
    job->phase = phase;
    CHECK(pen_map_put(&self->jobs, pen_key_number(job->fence), job, NULL) == 0);
    return job;
}

static void job_remove(struct pen_actions *self, struct job *job)
{
    if (job->failure != NULL)
        self->failures--;
    (void)pen_map_remove(&self->jobs, pen_key_number(job->fence));
    for (size_t i = 0; i < job->mounts_count; i++)
        free(job->mounts[i]);
    free(job->mounts);
    free(job->failure);
    free(job);
}

static void job_fail(struct pen_actions *self, struct job *job, const char *text)
{
    if (job->failure != NULL)
        return;
    job->failure = strdup(text);
    CHECK(job->failure != NULL);
    self->failures++;
}

static void report(struct pen_actions *self, const struct pen_action_report *what)
{
    self->options.report(self->options.context, what);
}

static void report_failures(struct pen_actions *self)
{
    struct pen_map_node *next;
    for (struct pen_map_node *node = self->failures == 0 ? NULL : pen_map_first(&self->jobs);
         node != NULL; node = next) {
        next = pen_map_next(node);
        struct job *job = pen_map_value(node);
        if (job->failure == NULL)
            continue;
        PEN_CLEANUP(pen_free) char *text = TAKE_PTR(job->failure);
        self->failures--;
        job->phase = PHASE_ENDED;
        report(self,
               &(struct pen_action_report){.kind = job->pack_failure ? PEN_ACTION_PACK_FAILED
                                                                     : PEN_ACTION_SETUP_FAILED,
                                           .fence = job->fence,
                                           .text = text});
    }
}

/* ---- starting the commands */

static int put_argv(struct pen_actions *self, const struct job *job, Pen__ShimOrder *order,
                    struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf script = {0};
    PEN_CLEANUP(pen_free) char *folder = pen_workspace_path(self->workspaces, job->fence, "shell");
    if (folder == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the commands");
    struct pen_command_shell shell = {.folder = folder, .program = self->shim_path};
    int rc = pen_command_script(job->capsule, &shell, &script, err);
    if (rc == 0)
        rc = pen_command_shell_words(job->capsule, order, err);
    if (rc == 0 && pen_command_reports(job->capsule))
        order->shell_dir = TAKE_PTR(folder);
    if (rc < 0)
        return rc;
    if (script.size <= SCRIPT_ARGUMENT_MAX) {
        rc = pen_texts_add(&order->argv, &order->n_argv, "-c", err);
        return rc < 0 ? rc
                      : pen_texts_add(&order->argv, &order->n_argv, pen_buf_text(&script), err);
    }
    PEN_CLEANUP(pen_free) char *path = pen_workspace_path(self->workspaces, job->fence, "script");
    if (path == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the commands");
    rc = pen_file_replace_unsynced(path, script.data, script.size, 0600, err);
    return rc < 0 ? rc : pen_texts_add(&order->argv, &order->n_argv, path, err);
}

static int fill_order(struct pen_actions *self, const struct job *job, Pen__ShimOrder *order,
                      struct pen_error *err)
{
    const Pen__Capsule *capsule = job->capsule;
    PEN_CLEANUP(pen_free) char *source = pen_workspace_path(self->workspaces, job->fence, "src");
    PEN_CLEANUP(pen_free) char *home = pen_workspace_path(self->workspaces, job->fence, "home");
    PEN_CLEANUP(pen_free) char *tmp = pen_workspace_path(self->workspaces, job->fence, "tmp");
    PEN_CLEANUP(pen_free) char *inputs = pen_workspace_path(self->workspaces, job->fence, "in");
    if (source == NULL || home == NULL || tmp == NULL || inputs == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the commands");
    struct pen_command_folders folders = {source, home, tmp, inputs, self->user};
    order->has_fence = order->has_timeout_ms = order->has_log_bytes_max = true;
    order->has_kill_grace_ms = true;
    order->fence = job->fence;
    order->timeout_ms = capsule->timeout_ms;
    order->log_bytes_max = capsule->log_bytes_max;
    order->kill_grace_ms = PEN_SHIM_GRACE_DEFAULT_MS;
    order->log_path = pen_logs_path(self->logs, job->fence);
    if (order->log_path == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the commands");
    int rc = pen_command_environment(capsule, &folders, order, err);
    if (rc == 0)
        rc = put_argv(self, job, order, err);
    order->workspace = TAKE_PTR(source);
    return rc;
}

static void start_commands(struct pen_actions *self, struct job *job)
{
    struct pen_error err = {0};
    PEN_CLEANUP(pen_message_destroy) Pen__ShimOrder *order = malloc(sizeof *order);
    CHECK(order != NULL);
    pen__shim_order__init(order);
    int rc = fill_order(self, job, order, &err);
    if (rc == 0)
        rc = pen_exec_start(self->exec, order, &err);
    if (rc < 0) {
        job_fail(self, job, err.message);
        return;
    }
    job->phase = PHASE_RUNNING;
}

/* ---- inputs */

static int fetch_inputs(struct pen_actions *self, struct job *job, struct pen_error *err)
{
    const Pen__Capsule *capsule = job->capsule;
    PEN_CLEANUP(pen_free) char *others = pen_workspace_path(self->workspaces, job->fence, "in");
    if (others == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the inputs");
    int rc = capsule->n_inputs > 1 ? pen_dir_make(others, 0700, err) : 0;
    job->phase = PHASE_FETCHING;
    job->inputs_left = capsule->n_inputs;
    for (size_t i = 0; rc == 0 && i < capsule->n_inputs; i++) {
        PEN_CLEANUP(pen_free)
        char *below = i == 0 ? strdup("src") : pen_strdup_printf("in/%zu", i);
        PEN_CLEANUP(pen_free)
        char *folder =
            below == NULL ? NULL : pen_workspace_path(self->workspaces, job->fence, below);
        rc = folder == NULL ? pen_fail(err, PEN_ENOMEM, "no memory for the inputs")
                            : pen_transfers_fetch(self->transfers, job->fence, capsule->inputs[i],
                                                  folder, err);
    }
    return rc;
}

static void on_fetched(void *context, uint64_t fence, const char *text)
{
    struct pen_actions *self = context;
    struct job *job = job_get(self, fence);
    if (job == NULL || job->phase != PHASE_FETCHING || job->failure != NULL)
        return;
    if (text != NULL) {
        pen_transfers_drop(self->transfers, fence);
        job_fail(self, job, text);
        return;
    }
    CHECK(job->inputs_left > 0);
    if (--job->inputs_left == 0 && !job->held)
        start_commands(self, job);
}

void pen_actions_prepare(struct pen_actions *self, const Pen__Capsule *capsule)
{
    struct pen_error err = {0};
    struct job *job = job_add(self, capsule, PHASE_FETCHING);
    job->held = true;
    int rc = pen_workspace_make(self->workspaces, job->fence, &err);
    if (rc == 0 && capsule->n_inputs > 0)
        rc = fetch_inputs(self, job, &err);
    if (rc < 0) {
        pen_transfers_drop(self->transfers, job->fence);
        job_fail(self, job, err.message);
    }
    pen_transfers_on_time(self->transfers); /* the worker unpacks what is here already */
}

void pen_actions_start(struct pen_actions *self, uint64_t fence)
{
    struct job *job = job_get(self, fence);
    CHECK(job != NULL && job->held);
    job->held = false;
    if (job->inputs_left == 0 && job->failure == NULL)
        start_commands(self, job);
}

void pen_actions_adopt(struct pen_actions *self, const Pen__Capsule *capsule)
{
    struct job *job = job_add(self, capsule, PHASE_RUNNING);
    job->adopted = true;
    pen_exec_adopt(self->exec, job->fence);
}

void pen_actions_kill(struct pen_actions *self, uint64_t fence, uint32_t grace_ms)
{
    struct job *job = job_get(self, fence);
    if (job == NULL)
        return;
    if (job->phase == PHASE_RUNNING) {
        pen_exec_kill(self->exec, fence, grace_ms);
    } else if (job->phase == PHASE_FETCHING) {
        pen_transfers_drop(self->transfers, fence);
        job_fail(self, job, "canceled while its inputs were fetched");
    }
}

/* ---- reports of the shims */

/* Without memory the attempt is taken up again at the next start. */
static void note_mounts(struct job *job, const Pen__ShimExit *shim_exit)
{
    if (shim_exit->n_mounts == 0 || job->mounts != NULL)
        return;
    job->mounts = calloc(shim_exit->n_mounts, sizeof *job->mounts);
    CHECK(job->mounts != NULL);
    for (size_t i = 0; i < shim_exit->n_mounts; i++) {
        const ProtobufCBinaryData *path = &shim_exit->mounts[i];
        char *copy = pen_strdup_printf("%.*s", (int)path->len, (const char *)path->data);
        CHECK(copy != NULL);
        job->mounts[job->mounts_count++] = copy;
    }
}

static void on_exec(void *context, const struct pen_exec_report *what)
{
    struct pen_actions *self = context;
    struct job *job = job_get(self, what->fence);
    if (job == NULL)
        return;
    static const enum pen_action_report_kind kinds[] = {
        [PEN_EXEC_BEGAN] = PEN_ACTION_BEGAN,
        [PEN_EXEC_LOG] = PEN_ACTION_LOG,
        [PEN_EXEC_STEP] = PEN_ACTION_STEP,
        [PEN_EXEC_EXITED] = PEN_ACTION_EXITED,
        [PEN_EXEC_VANISHED] = PEN_ACTION_VANISHED,
        [PEN_EXEC_START_FAILED] = PEN_ACTION_SETUP_FAILED,
    };
    if (what->kind == PEN_EXEC_LOG)
        (void)pen_logs_captured(self->logs, what->fence, what->number, false, job->adopted, NULL);
    if (what->kind == PEN_EXEC_VANISHED)
        report(self,
               &(struct pen_action_report){.kind = PEN_ACTION_LOG,
                                           .fence = what->fence,
                                           .number = pen_logs_file_size(self->logs, what->fence)});
    if (what->kind == PEN_EXEC_EXITED || what->kind == PEN_EXEC_VANISHED ||
        what->kind == PEN_EXEC_START_FAILED)
        job->phase = PHASE_ENDED;
    if (what->kind == PEN_EXEC_EXITED)
        note_mounts(job, what->exit);
    report(self, &(struct pen_action_report){.kind = kinds[what->kind],
                                             .fence = what->fence,
                                             .number = what->number,
                                             .began_once = what->began_once,
                                             .text = what->text,
                                             .began = what->began,
                                             .exit = what->exit});
}

/* ---- outputs */

static int copy_wishes(const Pen__Capsule *capsule, struct pen_job *job, struct pen_error *err)
{
    job->wishes = calloc(capsule->n_outputs, sizeof *job->wishes);
    if (job->wishes == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the outputs");
    for (size_t i = 0; i < capsule->n_outputs; i++) {
        ProtobufCMessage *copy = NULL;
        int rc = pen_wire_copy(capsule->outputs[i], &copy, err);
        if (rc < 0)
            return rc;
        job->wishes[job->wishes_count++] = (Pen__ArtifactWish *)copy;
    }
    return 0;
}

void pen_actions_pack(struct pen_actions *self, const Pen__Capsule *capsule)
{
    struct pen_error err = {0};
    struct job *job = job_get(self, capsule->fence);
    if (job == NULL)
        job = job_add(self, capsule, PHASE_ENDED);
    PEN_CLEANUP(pen_job_destroy)
    struct pen_job *work = pen_job_create(PEN_JOB_PACK, capsule->fence);
    CHECK(work != NULL);
    work->folder = pen_workspace_path(self->workspaces, capsule->fence, "src");
    int rc = work->folder == NULL ? pen_fail(&err, PEN_ENOMEM, "no memory for the outputs")
                                  : copy_wishes(capsule, work, &err);
    if (rc == 0) {
        work->mounts = TAKE_PTR(job->mounts);
        work->mounts_count = job->mounts_count;
        job->mounts_count = 0;
        rc = pen_worker_post(self->worker, work, &err);
    }
    if (rc == 0) {
        work = NULL;
        return;
    }
    job->pack_failure = true;
    job_fail(self, job, err.message);
}

/* Names of files may be any bytes; what is told of them has to be text. */
static void make_text(char *text)
{
    if (text == NULL || pen_utf8_valid(text, strlen(text)))
        return;
    for (char *at = text; *at != 0; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
}

static void on_packed(struct pen_actions *self, struct pen_job *done)
{
    if (job_get(self, done->fence) == NULL)
        return;
    bool packed = done->error.code == 0;
    make_text(done->note);
    make_text(done->error.message);
    report(self,
           &(struct pen_action_report){.kind = packed ? PEN_ACTION_PACKED : PEN_ACTION_PACK_FAILED,
                                       .fence = done->fence,
                                       .text = packed ? done->note : done->error.message,
                                       .artifacts = done->artifacts,
                                       .artifacts_count = done->artifacts_count});
}

void pen_actions_upload(struct pen_actions *self, uint64_t fence, const Pen__ArtifactRef *artifact)
{
    CHECK(pen_transfers_push(self->transfers, fence, artifact, NULL) == 0);
}

/* ---- the end */

static void remove_trash(struct pen_actions *self)
{
    char *path;
    bool recycle = false;
    while ((path = pen_workspaces_next_trash(self->workspaces, &recycle)) != NULL) {
        struct pen_job *job = pen_job_create(recycle ? PEN_JOB_CLEAN : PEN_JOB_REMOVE, 0);
        if (job != NULL) {
            job->folder = path;
            job->clean = pen_workspace_clean;
        } else {
            free(path);
        }
        if (job != NULL && pen_worker_post(self->worker, job, NULL) == 0)
            continue;
        pen_job_destroy(&job); /* the folder is found at the next start */
        if (recycle)
            pen_workspaces_cleaned(self->workspaces, NULL);
    }
}

void pen_actions_ended(struct pen_actions *self, uint64_t fence, uint64_t log_size)
{
    struct job *job = job_get(self, fence);
    (void)pen_logs_captured(self->logs, fence, log_size, true, job == NULL || job->adopted, NULL);
    pen_workspace_done(self->workspaces, fence);
    remove_trash(self);
    if (job != NULL)
        job_remove(self, job);
}

void pen_actions_release(struct pen_actions *self, uint64_t fence)
{
    struct job *job = job_get(self, fence);
    if (job != NULL)
        job_remove(self, job);
    pen_transfers_drop(self->transfers, fence);
    pen_worker_release(self->worker, fence);
    pen_logs_release(self->logs, fence);
    pen_exec_release(self->exec, fence);
}

int pen_actions_sweep(struct pen_actions *self, int (*keep)(void *context, uint64_t fence),
                      void *context, struct pen_error *err)
{
    int rc = pen_workspaces_sweep(self->workspaces, keep, context, err);
    remove_trash(self);
    return rc;
}

/* ---- messages and time */

void pen_actions_connected(struct pen_actions *self, uint64_t log_credit_bytes,
                           uint32_t blob_credit)
{
    pen_logs_connected(self->logs, log_credit_bytes);
    pen_transfers_connected(self->transfers, blob_credit);
}

void pen_actions_disconnected(struct pen_actions *self)
{
    pen_transfers_disconnected(self->transfers);
}

void pen_actions_on_message(struct pen_actions *self, Pen__DataToAgent *message)
{
    switch ((int)message->body_case) {
    case PEN__DATA_TO_AGENT__BODY_LOG_ACK:
        pen_logs_acked(self->logs, message->log_ack->fence, message->log_ack->offset,
                       message->log_ack->credit_bytes);
        break;
    case PEN__DATA_TO_AGENT__BODY_LOG_RESEND:
        pen_logs_resend(self->logs, message->log_resend->fence, message->log_resend->offset);
        break;
    case PEN__DATA_TO_AGENT__BODY_REFUSED:
        if (message->refused->has_fence && !message->refused->has_sha256)
            pen_logs_refused(self->logs, message->refused->fence);
        pen_transfers_on_message(self->transfers, message);
        break;
    default:
        pen_transfers_on_message(self->transfers, message);
        break;
    }
}

int pen_actions_process(struct pen_actions *self, struct pen_error *err)
{
    report_failures(self);
    int rc = pen_exec_process(self->exec, err);
    struct pen_job *done;
    while ((done = pen_worker_take(self->worker)) != NULL) {
        if (done->kind == PEN_JOB_PACK)
            on_packed(self, done);
        else if (done->kind == PEN_JOB_CLEAN)
            pen_workspaces_cleaned(self->workspaces, TAKE_PTR(done->folder));
        else
            pen_transfers_on_job(self->transfers, done);
        pen_job_destroy(&done);
    }
    pen_logs_on_time(self->logs);
    pen_transfers_on_time(self->transfers);
    return rc;
}

size_t pen_actions_fds(const struct pen_actions *self, int *ret_fds)
{
    ret_fds[0] = pen_exec_fd(self->exec);
    ret_fds[1] = pen_worker_fd(self->worker);
    return 2;
}

int64_t pen_actions_deadline_ms(const struct pen_actions *self)
{
    if (self->failures > 0)
        return 0;
    int64_t at = pen_exec_deadline_ms(self->exec);
    int64_t logs_at = pen_logs_deadline_ms(self->logs);
    int64_t transfers_at = pen_transfers_deadline_ms(self->transfers);
    at = logs_at < at ? logs_at : at;
    return transfers_at < at ? transfers_at : at;
}

const char *pen_actions_isolation(const struct pen_actions *self)
{
    return pen_exec_isolation(self->exec);
}

bool pen_actions_is_delivered(const struct pen_actions *self, uint64_t fence)
{
    return pen_logs_is_acked(self->logs, fence) && pen_transfers_is_idle(self->transfers, fence);
}

/* ---- life */

static int send_log(void *context, uint64_t fence, uint64_t offset, const void *bytes, size_t size)
{
    struct pen_actions *self = context;
    Pen__LogData log = PEN__LOG_DATA__INIT;
    log.has_fence = log.has_offset = log.has_bytes = true;
    log.fence = fence;
    log.offset = offset;
    log.bytes = (ProtobufCBinaryData){.len = size, .data = (uint8_t *)(uintptr_t)bytes};
    Pen__DataFromAgent message = PEN__DATA_FROM_AGENT__INIT;
    message.body_case = PEN__DATA_FROM_AGENT__BODY_LOG;
    message.log = &log;
    return self->options.send(self->options.context, &message);
}

static int send_transfer(void *context, const Pen__DataFromAgent *message)
{
    struct pen_actions *self = context;
    return self->options.send(self->options.context, message);
}

static int choose_run_dir(void *context, char **ret_path, struct pen_error *err)
{
    struct pen_actions *self = context;
    return self->options.choose_run_dir(self->options.context, ret_path, err);
}

static int open_rooms(struct pen_actions *self, struct pen_error *err)
{
    const char *dir = self->options.data_dir;
    PEN_CLEANUP(pen_free) char *work = pen_strdup_printf("%s/work", dir);
    PEN_CLEANUP(pen_free) char *logs = pen_strdup_printf("%s/logs", dir);
    PEN_CLEANUP(pen_free) char *blobs = pen_strdup_printf("%s/blobs", dir);
    PEN_CLEANUP(pen_free) char *spare = pen_strdup_printf("%s/exits", dir);
    if (work == NULL || logs == NULL || blobs == NULL || spare == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the agent's folders");
    bool can_choose = self->options.choose_run_dir != NULL;
    struct pen_exec_options exec = {.run_dir = self->options.run_dir,
                                    .spare_dir = spare,
                                    .choose_run_dir = can_choose ? choose_run_dir : NULL,
                                    .spool_id = self->options.spool_id,
                                    .shim_path = self->options.shim_path,
                                    .report = on_exec,
                                    .context = self};
    int rc;
    if ((rc = pen_logs_open(logs, send_log, self, &self->logs, err)) < 0 ||
        (rc = pen_exec_create(&exec, &self->exec, err)) < 0 ||
        (rc = pen_workspaces_open(work, pen_exec_has_pid_namespace(self->exec), &self->workspaces,
                                  err)) < 0 ||
        (rc = pen_worker_start(blobs, &self->worker, err)) < 0)
        return rc;
    struct pen_transfers_options transfers = {.blobs = blobs,
                                              .worker = self->worker,
                                              .send = send_transfer,
                                              .fetched = on_fetched,
                                              .context = self};
    return pen_transfers_create(&transfers, &self->transfers, err);
}

int pen_actions_create(const struct pen_actions_options *options, struct pen_actions **ret_actions,
                       struct pen_error *err)
{
    PEN_CLEANUP(pen_actions_destroy) struct pen_actions *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for actions");
    self->options = *options;
    self->shim_path = strdup(options->shim_path);
    if (self->shim_path == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for actions");
    const struct passwd *user = getpwuid(geteuid());
    self->user = user == NULL ? NULL : strdup(user->pw_name);
    int rc = open_rooms(self, err);
    if (rc < 0)
        return rc;
    self->options.data_dir = self->options.run_dir = self->options.shim_path = NULL;
    *ret_actions = TAKE_PTR(self);
    return 0;
}

void pen_actions_leave_nothing(struct pen_actions *self)
{
    pen_exec_remove_run_dir(self->exec);
}

void pen_actions_destroy(struct pen_actions **self_p)
{
    struct pen_actions *self = *self_p;
    if (self == NULL)
        return;
    struct job *job;
    while ((job = pen_map_first_value(&self->jobs)) != NULL)
        job_remove(self, job);
    pen_map_release(&self->jobs);
    pen_worker_stop(&self->worker);
    pen_transfers_destroy(&self->transfers);
    pen_exec_destroy(&self->exec);
    pen_logs_close(&self->logs);
    pen_workspaces_close(&self->workspaces);
    free(self->shim_path);
    free(self->user);
    free(self);
    *self_p = NULL;
}
