#include "agent/app/app.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/actions/actions.h"
#include "agent/app/host.h"
#include "agent/exec/exec.h"
#include "agent/link/link.h"
#include "agent/session/session.h"
#include "agent/spool/journal.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/io/random.h"
#include "common/log/log.h"
#include "common/wire/wire.h"

enum {
    FRAMES_A_TURN = 256, /* then the journal and the shims have their turn */
    DISK_CHECK_MS = 10 * 1000,
    RUN_FOLDER_MAX = 8192,
};

struct pen_app {
    struct pen_link *link;
    struct pen_session *session;
    struct pen_journal *journal;
    struct pen_actions *actions;
    struct pen_session_out out;
    struct pen_buf frame;
    char *data;
    char *run_dir;
    char *spool_id;
    char boot_id[PEN_HOST_ID_SIZE];
    char machine_id[PEN_HOST_ID_SIZE];
    char run_id[37];
    uint32_t slots;
    bool once;
    bool disk_full;
    int64_t disk_check_ms;
    uint64_t log_credit_bytes;
    uint32_t blob_credit;
    uint64_t once_fence;
    bool ready;
    bool recovered; /* every attempt of the journal is known */
    bool stop;
    int exit_status;
    int failure; /* of a step that must not go on */
    struct pen_error error;
};

/* ---- inputs */

static void feed(struct pen_app *self, struct pen_session_input *input)
{
    input->now_ms = pen_clock_monotonic_ms();
    struct pen_error err = {0};
    int rc = pen_session_step(self->session, input, &self->out, &err);
    if (rc == PEN_ENOMEM && self->failure == 0) {
        self->failure = rc;
        self->error = err;
    } else if (rc < 0 && rc != PEN_ESTALE && rc != PEN_ENOTFOUND) {
        pen_log(PEN_LOG_WARNING, "refused what happened", "why=%s", err.message);
    }
}

static void feed_kind(struct pen_app *self, enum pen_session_input_kind kind, bool flag)
{
    struct pen_session_input input = {.kind = kind, .flag = flag};
    feed(self, &input);
}

static void on_report(void *context, const struct pen_action_report *what)
{
    static const enum pen_session_input_kind kinds[] = {
        [PEN_ACTION_BEGAN] = PEN_IN_BEGAN,       [PEN_ACTION_STEP] = PEN_IN_STEP,
        [PEN_ACTION_LOG] = PEN_IN_LOG_SIZE,      [PEN_ACTION_EXITED] = PEN_IN_EXITED,
        [PEN_ACTION_VANISHED] = PEN_IN_VANISHED, [PEN_ACTION_SETUP_FAILED] = PEN_IN_SETUP_FAILED,
        [PEN_ACTION_PACKED] = PEN_IN_PACKED,     [PEN_ACTION_PACK_FAILED] = PEN_IN_PACK_FAILED,
    };
    struct pen_session_input input = {
        .kind = kinds[what->kind],
        .fence = what->fence,
        .number = what->number,
        .flag = what->began_once,
        .text = what->text,
        .exit = what->exit,
        .artifacts = what->artifacts,
        .artifacts_count = what->artifacts_count,
    };
    if (what->began != NULL) {
        input.began.shim_pid = what->began->shim_pid;
        input.began.shim_start_time = what->began->shim_start_time;
        input.began.began_ms = what->began->began_ms;
        input.began.isolation = what->began->isolation;
    }
    feed(context, &input);
}

static void on_control_frame(struct pen_app *self, const struct pen_link_event *event)
{
    struct pen_error err = {0};
    PEN_CLEANUP(pen_message_destroy) Pen__ToAgent *frame = NULL;
    if (pen_wire_unpack(&pen__to_agent__descriptor, event->bytes, event->size, &pen_wire_bulk,
                        (ProtobufCMessage **)&frame, &err) < 0) {
        pen_log(PEN_LOG_WARNING, "the controller sent what cannot be read", "why=%s", err.message);
        return;
    }
    struct pen_session_input input = {.kind = PEN_IN_FRAME, .frame = frame};
    feed(self, &input);
}

static void on_data_frame(struct pen_app *self, const struct pen_link_event *event)
{
    struct pen_error err = {0};
    PEN_CLEANUP(pen_message_destroy) Pen__DataToAgent *frame = NULL;
    if (pen_wire_unpack(&pen__data_to_agent__descriptor, event->bytes, event->size, &pen_wire_bulk,
                        (ProtobufCMessage **)&frame, &err) < 0)
        pen_log(PEN_LOG_WARNING, "the controller sent what cannot be read", "why=%s", err.message);
    else
        pen_actions_on_message(self->actions, frame);
}

/* Ever more seldom: the first, second, fourth, eighth time. */
static void say_unreachable(const struct pen_link_event *event)
{
    if ((event->failures & (event->failures - 1)) == 0)
        pen_log(
            PEN_LOG_WARNING, "no connection to the controller",
            "plane=%s address=%s tries=%u why=\"%s\"",
            event->plane == PEN_PLANE_CONTROL ? "control" : "data", event->address, event->failures,
            event->reason != NULL ? event->reason : "nobody answers there as a controller does");
}

static void on_plane(struct pen_app *self, const struct pen_link_event *event)
{
    bool up = event->kind == PEN_LINK_UP;
    if (event->kind == PEN_LINK_DENIED)
        pen_log(
            PEN_LOG_ERROR, "the controller does not let this agent in",
            "what=its key is revoked, or unknown there; to join anew, give it a new token and an "
            "empty --data");
    if (event->kind == PEN_LINK_UNREACHABLE) {
        say_unreachable(event);
        return;
    }
    if (event->plane == PEN_PLANE_CONTROL) {
        pen_log(PEN_LOG_INFO, up ? "connected" : "disconnected", NULL);
        feed_kind(self, up ? PEN_IN_CONNECTED : PEN_IN_DISCONNECTED, false);
    } else if (up) {
        pen_actions_connected(self->actions, self->log_credit_bytes, self->blob_credit);
    } else {
        pen_actions_disconnected(self->actions);
    }
}

static void take_link(struct pen_app *self)
{
    struct pen_link_event event;
    for (int i = 0; i < FRAMES_A_TURN && pen_link_next(self->link, &event); i++) {
        if (event.kind != PEN_LINK_FRAME)
            on_plane(self, &event);
        else if (event.plane == PEN_PLANE_CONTROL)
            on_control_frame(self, &event);
        else
            on_data_frame(self, &event);
    }
}

static void take_time(struct pen_app *self)
{
    int64_t now = pen_clock_monotonic_ms();
    if (now >= pen_session_deadline_ms(self->session))
        feed_kind(self, PEN_IN_TIMER, false);
    if (now < self->disk_check_ms)
        return;
    self->disk_check_ms = now + DISK_CHECK_MS;
    bool full = pen_host_disk_full(self->data);
    if (full == self->disk_full)
        return;
    self->disk_full = full;
    pen_log(full ? PEN_LOG_WARNING : PEN_LOG_INFO,
            full ? "the disk is full: no new work is taken" : "there is space again", "data=%s",
            self->data);
    feed_kind(self, PEN_IN_DISK_FULL, full);
}

/* ---- effects */

static void send_message(struct pen_app *self, const Pen__FromAgent *message)
{
    pen_buf_clear(&self->frame);
    if (pen_wire_pack(message, &self->frame, NULL) == 0)
        (void)pen_link_send(self->link, PEN_PLANE_CONTROL, self->frame.data, self->frame.size,
                            NULL); /* what is lost is sent again, from the session's state */
}

static int send_data(void *context, const Pen__DataFromAgent *message)
{
    struct pen_app *self = context;
    pen_buf_clear(&self->frame);
    int rc = pen_wire_pack(message, &self->frame, NULL);
    return rc < 0 ? rc
                  : pen_link_send(self->link, PEN_PLANE_DATA, self->frame.data, self->frame.size,
                                  NULL);
}

static void open_data(struct pen_app *self, const Pen__Welcome *welcome)
{
    struct pen_error err = {0};
    self->log_credit_bytes = welcome->log_credit_bytes;
    self->blob_credit = welcome->blob_credit;
    if (pen_link_open_data(self->link, (uint16_t)welcome->bulk_port, &err) < 0)
        pen_log(PEN_LOG_ERROR, "no data plane", "why=%s", err.message);
    pen_log(PEN_LOG_INFO, "serving", "agent=%s session=%" PRIu64, welcome->agent_id,
            welcome->session_no);
    if (!self->ready)
        (void)sd_notify(0, "READY=1");
    self->ready = true;
}

static void superseded(struct pen_app *self, const struct pen_session_effect *effect)
{
    pen_log(PEN_LOG_ERROR, "refused by the controller", "why=%s", effect->text);
    if (effect->refused_code != PEN__REFUSED_CODE__SUPERSEDED)
        return; /* denied, quarantined: a person may change that; the session asks again */
    self->failure = pen_fail(&self->error, PEN_ESTALE,
                             "another process serves with this agent's key: %s", effect->text);
}

static void perform(struct pen_app *self, const struct pen_session_effect *effect)
{
    switch (effect->kind) {
    case PEN_OUT_SEND:
        send_message(self, effect->message);
        break;
    case PEN_OUT_OPEN_DATA:
        open_data(self, effect->welcome);
        break;
    case PEN_OUT_START:
        self->once_fence = effect->fence;
        pen_actions_start(self->actions, effect->fence);
        break;
    case PEN_OUT_KILL:
        pen_actions_kill(self->actions, effect->fence, effect->grace_ms);
        break;
    case PEN_OUT_ADOPT:
        self->once_fence = effect->fence;
        pen_actions_adopt(self->actions, effect->capsule);
        break;
    case PEN_OUT_PACK:
        pen_actions_pack(self->actions, effect->capsule);
        break;
    case PEN_OUT_UPLOAD:
        pen_actions_upload(self->actions, effect->fence, effect->artifact);
        break;
    case PEN_OUT_LOG_DONE:
        pen_actions_ended(self->actions, effect->fence, effect->number);
        break;
    case PEN_OUT_RELEASE:
        pen_actions_release(self->actions, effect->fence);
        break;
    case PEN_OUT_SUPERSEDED:
        superseded(self, effect);
        break;
    }
}

static void perform_all(struct pen_app *self, const struct pen_session_out *out, bool after_sync)
{
    for (size_t i = 0; i < out->effects_count; i++)
        if (out->effects[i].after_sync == after_sync)
            perform(self, &out->effects[i]);
}

/* What is needed to start may be made while the start is being synced; a kill then finds it. */
static void prepare_all(struct pen_app *self, const struct pen_session_out *out)
{
    for (size_t i = 0; i < out->effects_count; i++)
        if (out->effects[i].kind == PEN_OUT_START)
            pen_actions_prepare(self->actions, out->effects[i].capsule);
}

static int compact(struct pen_app *self, struct pen_error *err)
{
    struct pen_session_out out = {0};
    int rc = pen_session_snapshot(self->session, &out, err);
    if (rc == 0)
        rc = pen_journal_compact(self->journal, out.records, out.records_count, err);
    pen_session_turn_done(self->session, &out);
    return rc;
}

/* Durable before visible: only what may be repeated goes out before the sync. */
static int commit(struct pen_app *self, struct pen_error *err)
{
    struct pen_session_out out = self->out;
    self->out = (struct pen_session_out){0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < out.records_count; i++)
        rc = pen_journal_append(self->journal, out.records[i], err);
    if (rc == 0)
        rc = pen_journal_write(self->journal, err);
    if (rc == 0) {
        prepare_all(self, &out);
        perform_all(self, &out, false);
        rc = out.sync ? pen_journal_sync(self->journal, err) : 0;
    }
    if (rc == 0)
        perform_all(self, &out, true);
    pen_session_turn_done(self->session, &out);
    pen_session_set_spool_seq(self->session, pen_journal_seq(self->journal));
    if (rc == 0 && pen_journal_is_full(self->journal))
        rc = compact(self, err);
    return rc;
}

/* ---- the loop */

static int64_t sleep_ms(const struct pen_app *self)
{
    int64_t at = pen_session_deadline_ms(self->session);
    int64_t actions_at = pen_actions_deadline_ms(self->actions);
    at = actions_at < at ? actions_at : at;
    at = self->disk_check_ms < at ? self->disk_check_ms : at;
    int64_t now = pen_clock_monotonic_ms();
    return at <= now ? 0 : at - now;
}

static void check_once(struct pen_app *self)
{
    bool good = false;
    if (!self->once || !pen_session_once_done(self->session, &good) ||
        !pen_actions_is_delivered(self->actions, self->once_fence))
        return;
    self->stop = true;
    self->exit_status = good ? 0 : 1;
}

static int turn(struct pen_app *self, int stop_fd, struct pen_error *err)
{
    int fds[PEN_LINK_WAIT_FDS_MAX] = {stop_fd};
    bool ready[PEN_LINK_WAIT_FDS_MAX] = {0};
    size_t count = 1 + pen_actions_fds(self->actions, fds + 1);
    int rc = pen_link_wait(self->link, fds, count, sleep_ms(self), ready, err);
    if (rc < 0)
        return rc;
    self->stop = self->stop || ready[0];
    take_link(self);
    rc = pen_actions_process(self->actions, err);
    take_time(self);
    if (rc == 0 && self->failure != 0) {
        *err = self->error;
        rc = self->failure;
    }
    if (rc == 0)
        rc = commit(self, err);
    check_once(self);
    return rc;
}

static void say_bye(struct pen_app *self)
{
    if (!pen_session_welcomed(self->session))
        return;
    feed_kind(self, PEN_IN_BYE, false);
    (void)commit(self, NULL);
}

int pen_app_run(struct pen_app *self, int stop_fd, struct pen_error *err)
{
    int rc = 0;
    while (rc == 0 && !self->stop)
        rc = turn(self, stop_fd, err);
    if (rc < 0)
        return rc;
    (void)sd_notify(0, "STOPPING=1");
    say_bye(self);
    return self->exit_status;
}

/* ---- life */

static int load_record(void *context, Pen__JournalRecord *record, struct pen_error *err)
{
    struct pen_app *self = context;
    return pen_session_load(self->session, record, err);
}

static int keep_workspace(void *context, uint64_t fence)
{
    const struct pen_app *self = context;
    enum pen_attempt_state state = pen_session_state(self->session, fence);
    return state == PEN_ATTEMPT_STARTING || state == PEN_ATTEMPT_RUNNING ||
           state == PEN_ATTEMPT_KILLING;
}

/* The shim's program lies beside this one. */
static char *find_shim(void)
{
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    if (size <= 0)
        return NULL;
    path[size] = 0;
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return NULL;
    *slash = 0;
    return pen_strdup_printf("%s/penstock-shim", path);
}

static int open_session(struct pen_app *self, const char *spool_id, const char *isolation,
                        struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__HostFacts *host = NULL;
    int rc = pen_host_facts(isolation, &host, err);
    if (rc < 0)
        return rc;
    uint32_t cpus = pen_host_cpus();
    struct pen_session_config config = {
        .spool_id = spool_id,
        .boot_id = self->boot_id,
        .run_id = self->run_id,
        .machine_id = self->machine_id,
        .host = host,
        .slots = self->slots,
        .slots_default = cpus < PEN_SLOTS_MAX ? cpus : PEN_SLOTS_MAX,
        .once = self->once,
    };
    return pen_session_create(&config, &self->session, err);
}

static int no_record(void *context, Pen__JournalRecord *record, struct pen_error *err)
{
    (void)context;
    (void)record;
    (void)err;
    return 0;
}

/* DIR/run-folder holds "BOOT PATH". */
static int choose_run_dir(void *context, char **ret_path, struct pen_error *err)
{
    struct pen_app *self = context;
    bool tmpfs = false;
    PEN_CLEANUP(pen_free) char *path = NULL;
    PEN_CLEANUP(pen_free) char *known = pen_strdup_printf("%s/run-folder", self->data);
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    if (known == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the run folder");
    int rc = pen_exec_choose_run_dir(self->spool_id, self->data, &path, &tmpfs, err);
    if (rc < 0)
        return rc;
    if (!tmpfs)
        pen_log(PEN_LOG_WARNING, "no tmpfs for run files: they go to disk", "run=%s", path);
    pen_buf_printf(&text, "%s %s", self->boot_id, path);
    rc = pen_buf_ok(&text, err);
    if (rc == 0)
        rc = pen_file_replace(known, text.data, text.size, 0600, err);
    if (rc == 0)
        *ret_path = TAKE_PTR(path);
    return rc;
}

/* The run folder of this boot stays where it is, whatever the environment says at the next start:
 * looking for a living shim in another place would find it dead. */
static int find_run_dir(struct pen_app *self, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *path = pen_strdup_printf("%s/run-folder", self->data);
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    if (path == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the run folder");
    size_t boot_size = strlen(self->boot_id);
    int rc = pen_file_exists(path) ? pen_file_read(path, RUN_FOLDER_MAX, &text, err) : 0;
    if (rc < 0)
        return rc;
    const char *known = pen_buf_text(&text);
    struct pen_error why = {0};
    if (!pen_str_starts_with(known, self->boot_id) || known[boot_size] != ' ')
        return choose_run_dir(self, &self->run_dir, err);
    if (pen_dir_make(known + boot_size + 1, 0700, &why) < 0) {
        pen_log(PEN_LOG_WARNING, "the run folder of this boot is gone: another is taken", "why=%s",
                why.message);
        return choose_run_dir(self, &self->run_dir, err);
    }
    self->run_dir = strdup(known + boot_size + 1);
    return self->run_dir == NULL ? pen_fail(err, PEN_ENOMEM, "no memory for the run folder") : 0;
}

/* The journal has to be read twice: its id names the run folder, which the shims are started in,
 * whose isolation the session tells the controller. */
static int open_spool(struct pen_app *self, struct pen_error *err)
{
    char fresh_id[37];
    PEN_CLEANUP(pen_free) char *folder = pen_strdup_printf("%s/spool", self->data);
    if (folder == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the spool");
    int rc = pen_random_uuid(fresh_id, err);
    if (rc == 0)
        rc = pen_dir_make(folder, 0700, err);
    if (rc == 0)
        rc = pen_journal_open(folder, fresh_id, self->machine_id, PEN_JOURNAL_CAPACITY, no_record,
                              self, &self->journal, err);
    if (rc < 0)
        return rc;
    const char *spool_id = self->spool_id = strdup(pen_journal_spool_id(self->journal));
    PEN_CLEANUP(pen_free) char *shim = find_shim();
    rc = spool_id == NULL ? pen_fail(err, PEN_ENOMEM, "no memory for the spool's id")
                          : find_run_dir(self, err);
    if (rc < 0)
        return rc;
    struct pen_actions_options options = {
        .data_dir = self->data,
        .run_dir = self->run_dir,
        .spool_id = spool_id,
        .shim_path = shim == NULL ? "penstock-shim" : shim,
        .report = on_report,
        .send = send_data,
        .choose_run_dir = choose_run_dir,
        .context = self,
    };
    rc = pen_actions_create(&options, &self->actions, err);
    if (rc == 0)
        rc = open_session(self, spool_id, pen_actions_isolation(self->actions), err);
    if (rc < 0)
        return rc;
    pen_journal_close(&self->journal);
    return pen_journal_open(folder, fresh_id, self->machine_id, PEN_JOURNAL_CAPACITY, load_record,
                            self, &self->journal, err);
}

static int recover(struct pen_app *self, struct pen_error *err)
{
    pen_session_set_spool_seq(self->session, pen_journal_seq(self->journal));
    int rc = pen_actions_sweep(self->actions, keep_workspace, self, err);
    if (rc == 0)
        rc = pen_session_recover(self->session, &self->out, err);
    return rc < 0 ? rc : commit(self, err);
}

int pen_app_open(const struct pen_agent_options *options, const struct pen_identity *identity,
                 struct pen_app **ret_app, struct pen_error *err)
{
    PEN_CLEANUP(pen_app_close) struct pen_app *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the agent");
    self->data = realpath(options->data, NULL);
    if (self->data == NULL)
        return pen_fail_errno(err, "--data '%s'", options->data);
    self->once = options->once;
    self->slots = options->once && options->slots == 0 ? 1 : options->slots;
    pen_host_machine_id(self->machine_id);
    struct pen_link_options link = {
        .host = identity->host, .port = identity->port, .pair = identity->pair};
    memcpy(link.server_public_key, identity->server_public_key, PEN_CURVE_KEY_SIZE);
    int rc;
    if ((rc = pen_host_boot_id(self->boot_id, err)) < 0 ||
        (rc = pen_random_uuid(self->run_id, err)) < 0 || (rc = open_spool(self, err)) < 0 ||
        (rc = pen_link_create(&link, &self->link, err)) < 0 || (rc = recover(self, err)) < 0)
        return rc;
    self->recovered = true;
    *ret_app = TAKE_PTR(self);
    return 0;
}

void pen_app_close(struct pen_app **self_p)
{
    struct pen_app *self = *self_p;
    if (self == NULL)
        return;
    if (self->session != NULL)
        pen_session_turn_done(self->session, &self->out);
    if (self->recovered && pen_session_is_idle(self->session))
        pen_actions_leave_nothing(self->actions);
    pen_actions_destroy(&self->actions);
    pen_session_destroy(&self->session);
    pen_journal_close(&self->journal);
    pen_link_destroy(&self->link);
    pen_buf_release(&self->frame);
    free(self->run_dir);
    free(self->spool_id);
    free(self->data);
    free(self);
    *self_p = NULL;
}
