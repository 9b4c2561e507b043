#include "controller/sources/sources.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/artifacts/layout.h"
#include "controller/post/actor.h"
#include "controller/sources/state.h"

enum {
    INBOX_MAX = 65536,      /* a start announces every pipeline and connection */
    TAKE_MAX = 64,          /* effects in one turn */
    OUTGOING_RETRY_MS = 20, /* while the core has no room */
    STOP_GRACE_MS = 2000,   /* for children to end by themselves */
};

struct pen_sources {
    struct pen_sources_state state;
    struct pen_actor actor;
    int inotify_fd;
    bool library;
};

/* ---- effects */

static int load_connection(struct pen_sources_state *self, Pen__ConnectionRow *row,
                           struct pen_error *err)
{
    struct pen_connection *connection = pen_connection_find(self, row->id);
    if (connection) {
        pen_message_destroy(&connection->row);
    } else {
        connection = calloc(1, sizeof *connection);
        if (!connection) {
            pen_message_destroy(&row);
            return pen_fail(err, PEN_ENOMEM, "no memory for a connection");
        }
        connection->next = self->connections;
        self->connections = connection;
    }
    connection->row = row;
    return pen_watch_connection(self, row, err);
}

static void drop_connection(struct pen_sources_state *self, const char *id)
{
    for (struct pen_connection **at = &self->connections; *at; at = &(*at)->next) {
        struct pen_connection *connection = *at;
        if (!pen_str_equal(connection->row->id, id))
            continue;
        pen_mirrors_drop(self, id);
        *at = connection->next;
        pen_message_destroy(&connection->row);
        free(connection);
        return;
    }
}

/* After a restart nobody waits for it: a failure is logged, and shows again at the first push. */
static void hosted_logged(int rc, const char *what, const char *name, const struct pen_error *err)
{
    if (rc < 0)
        pen_log(PEN_LOG_ERROR, what, "name=%s reason=%s", name ? name : "", err->message);
}

static int perform(struct pen_sources_state *self, Pen__Effect *effect, struct pen_error *err)
{
    struct pen_error reason = {0};
    int rc;
    switch (effect->what_case) {
    case PEN__EFFECT__WHAT_SOURCE_RUN:
        return pen_run_add(self, TAKE_PTR(effect->source_run), err);
    case PEN__EFFECT__WHAT_SOURCE_CANCEL:
        return pen_run_cancel(self, effect->source_cancel->action_execution_id, err);
    case PEN__EFFECT__WHAT_SOURCE_WATCH:
        return pen_watch_add(self, TAKE_PTR(effect->source_watch), err);
    case PEN__EFFECT__WHAT_SOURCE_UNWATCH:
        pen_watch_drop(self, effect->source_unwatch->pipeline);
        pen_looks_drop(self, effect->source_unwatch->pipeline);
        return 0;
    case PEN__EFFECT__WHAT_REPOSITORY_MAKE:
        rc = pen_hosted_make(self, effect->repository_make->name, &reason);
        hosted_logged(rc, "cannot make a repository", effect->repository_make->name, &reason);
        return effect->repository_make->correlation == 0
                   ? 0
                   : pen_report_repository(self, effect->repository_make,
                                           rc < 0 ? reason.message : NULL, err);
    case PEN__EFFECT__WHAT_REPOSITORY_DROP:
        rc = pen_hosted_drop(self, effect->repository_drop->name, &reason);
        hosted_logged(rc, "cannot remove a repository", effect->repository_drop->name, &reason);
        return 0;
    case PEN__EFFECT__WHAT_CONNECTION_LOADED:
        return load_connection(self, TAKE_PTR(effect->connection_loaded->connection), err);
    case PEN__EFFECT__WHAT_CONNECTION_DROPPED:
        drop_connection(self, effect->connection_dropped->id);
        return 0;
    case PEN__EFFECT__WHAT_ZONE_WANTED:
        return pen_report_zone(self, effect->zone_wanted, err);
    case PEN__EFFECT__WHAT_PULL_REQUEST_LOOK:
        return pen_look_add(self, TAKE_PTR(effect->pull_request_look), err);
    case PEN__EFFECT__WHAT_MIRRORS_SWEEP:
        return pen_mirrors_sweep(self, effect->mirrors_sweep, err);
    case PEN__EFFECT__WHAT_SOURCE_POKE:
        return pen_watch_poke(self, effect->source_poke->connection_id, err);
    default:
        UNREACHABLE("an effect that is not for sources");
    }
}

static void tell_damage(struct pen_sources_state *self)
{
    char text[PEN_ERROR_MESSAGE_MAX];
    if (pen_blob_store_damage(self->store, text))
        pen_log(PEN_LOG_ERROR, "damaged blobs", "what=\"%s\"", text);
}

/* Take all that has come. Runs begin afterwards, when the connections that came with them are
 * known. */
static int take_effects(struct pen_sources *self, struct pen_error *err)
{
    struct pen_post posts[TAKE_MAX];
    int rc = 0;
    size_t count;
    do {
        count = pen_inbox_take(self->actor.inbox, posts, TAKE_MAX);
        for (size_t i = 0; i < count; i++) {
            self->actor.stopping = self->actor.stopping || posts[i].kind == PEN_POST_STOP;
            if (rc == 0 && posts[i].kind == PEN_POST_EFFECT)
                rc = perform(&self->state, posts[i].body, err);
            pen_post_release(&posts[i]);
        }
    } while (rc == 0 && count == TAKE_MAX);
    if (rc == 0 && (rc = pen_looks_ask(&self->state, err)) < 0)
        return rc;
    rc = rc < 0 ? rc : pen_runs_begin(&self->state, err);
    tell_damage(&self->state);
    return rc;
}

/* ---- pushes */

static int scan_pushes(struct pen_sources *self, struct pen_error *err)
{
    DIR *stream = opendir(self->state.pushes_path);
    if (!stream)
        return pen_fail_errno(err, "%s", self->state.pushes_path);
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(stream)))
        if (pen_git_repository_name_valid(entry->d_name))
            rc = pen_watch_pushed(&self->state, entry->d_name, err);
    (void)closedir(stream);
    return rc;
}

static int take_pushes(struct pen_sources *self, struct pen_error *err)
{
    union {
        struct inotify_event event;
        char bytes[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
    } buffer;
    for (;;) {
        ssize_t got = read(self->inotify_fd, &buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        for (size_t at = 0; at < (size_t)got;) {
            struct inotify_event event;
            memcpy(&event, buffer.bytes + at, sizeof event);
            const char *name = buffer.bytes + at + sizeof event;
            at += sizeof event + event.len;
            int rc = 0;
            if (event.mask & IN_Q_OVERFLOW)
                rc = scan_pushes(self, err);
            else if (event.len > 0 && pen_git_repository_name_valid(name))
                rc = pen_watch_pushed(&self->state, name, err);
            if (rc < 0)
                return rc;
        }
    }
}

/* ---- the loop */

struct watch_set {
    struct pollfd fds[2 + 2 * (PEN_FETCHES_MAX + 1)];
    nfds_t count;
};

static void watch_child(struct watch_set *set, const struct pen_git_child *child)
{
    CHECK(set->count + 2 <= sizeof set->fds / sizeof set->fds[0]);
    set->fds[set->count++] = (struct pollfd){.fd = child->pidfd, .events = POLLIN};
    set->fds[set->count++] = (struct pollfd){.fd = child->words_fd, .events = POLLIN};
}

static bool has_ended(const struct watch_set *set, const struct pen_git_child *child)
{
    for (nfds_t i = 2; i < set->count; i += 2)
        if (set->fds[i].fd == child->pidfd && set->fds[i].revents)
            return true;
    return false;
}

static void watch_fds(const struct pen_sources *self, struct watch_set *set)
{
    set->count = 0;
    set->fds[set->count++] =
        (struct pollfd){.fd = pen_inbox_fd(self->actor.inbox), .events = POLLIN};
    set->fds[set->count++] = (struct pollfd){.fd = self->inotify_fd, .events = POLLIN};
    for (const struct pen_mirror *at = self->state.mirrors; at; at = at->next) {
        if (at->fetching)
            watch_child(set, &at->fetch.child);
    }
    if (self->state.upkeep.mirror)
        watch_child(set, &self->state.upkeep.child);
}

/* Hear the children, and finish those that have ended. */
static int take_children(struct pen_sources_state *self, const struct watch_set *set,
                         struct pen_error *err)
{
    int rc = 0;
    if (self->upkeep.mirror) {
        bool ended = has_ended(set, &self->upkeep.child);
        pen_upkeep_listen(&self->upkeep);
        rc = ended ? pen_upkeep_ended(self, err) : 0;
    }
    for (struct pen_mirror *at = self->mirrors; rc == 0 && at; at = at->next) {
        if (!at->fetching)
            continue;
        bool ended = has_ended(set, &at->fetch.child);
        pen_fetch_listen(&at->fetch);
        rc = ended ? pen_mirror_fetched(self, at, err) : 0;
    }
    return rc;
}

static int timeout_of(const struct pen_sources_state *self, int64_t now_ms)
{
    int64_t next_ms = self->next_poll_ms;
    int64_t deadline_ms = pen_mirrors_deadline_ms(self);
    if (self->upkeep.mirror && self->upkeep.deadline_ms < deadline_ms)
        deadline_ms = self->upkeep.deadline_ms;
    next_ms = deadline_ms < next_ms ? deadline_ms : next_ms;
    int64_t look_ms = pen_looks_deadline_ms(self);
    next_ms = look_ms < next_ms ? look_ms : next_ms;
    if (!self->outgoing && pen_watch_refs_wait(self))
        return 0;
    if (self->outgoing && now_ms + OUTGOING_RETRY_MS < next_ms)
        next_ms = now_ms + OUTGOING_RETRY_MS;
    return next_ms <= now_ms ? 0 : next_ms - now_ms > 1000000 ? 1000000 : (int)(next_ms - now_ms);
}

static int turn(void *context, struct pen_error *err)
{
    struct pen_sources *self = context;
    struct pen_sources_state *state = &self->state;
    struct watch_set set;
    watch_fds(self, &set);
    if (poll(set.fds, set.count, timeout_of(state, pen_clock_monotonic_ms())) < 0 && errno != EINTR)
        return pen_fail_errno(err, "poll");
    int rc;
    if ((rc = take_children(state, &set, err)) < 0 || (rc = take_effects(self, err)) < 0 ||
        (rc = take_pushes(self, err)) < 0)
        return rc;
    int64_t now_ms = pen_clock_monotonic_ms();
    if (now_ms >= state->next_poll_ms) {
        state->next_poll_ms = now_ms + state->poll_interval_ms;
        if ((rc = pen_watch_poll(state, err)) < 0 || (rc = pen_looks_ask(state, err)) < 0)
            return rc;
    }
    if (now_ms >= pen_looks_deadline_ms(state) && (rc = pen_looks_ask(state, err)) < 0)
        return rc;
    pen_mirrors_check(state, now_ms);
    pen_upkeep_check(&state->upkeep, now_ms);
    if ((rc = pen_watch_refs_go_on(state, err)) < 0 ||
        (rc = pen_mirrors_start(state, now_ms, err)) < 0)
        return rc;
    pen_upkeep_start(state, now_ms);
    return pen_report_flush(state, err);
}

/* End all children: politely, then for certain. */
static void end_children(void *context)
{
    struct pen_sources_state *self = &((struct pen_sources *)context)->state;
    pen_upkeep_stop(self, NULL);
    for (struct pen_mirror *at = self->mirrors; at; at = at->next)
        if (at->fetching)
            pen_git_child_kill(&at->fetch.child, SIGTERM);
    int64_t deadline_ms = pen_clock_monotonic_ms() + STOP_GRACE_MS;
    for (struct pen_mirror *at = self->mirrors; at; at = at->next) {
        if (!at->fetching)
            continue;
        struct pollfd watch = {.fd = at->fetch.child.pidfd, .events = POLLIN};
        int64_t left_ms = deadline_ms - pen_clock_monotonic_ms();
        if (poll(&watch, 1, left_ms > 0 ? (int)left_ms : 0) <= 0)
            pen_git_child_kill(&at->fetch.child, SIGKILL);
        int status;
        (void)pen_fetch_finish(&at->fetch, &status, NULL);
        at->fetching = false;
    }
}

/* ---- start and stop */

static int make_folders(struct pen_sources_state *self, struct pen_error *err)
{
    static const char *const names[] = {"repos", "pushes", "mirrors", "mirrors/.home"};
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_buf_printf(&path, "%s/mirrors/.keys", self->dir);
    int rc = pen_buf_ok(&path, err);
    if (rc == 0)
        rc = pen_dir_remove_tree(pen_buf_text(&path), err); /* keys of children of a former life */
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof names[0]; i++) {
        pen_buf_clear(&path);
        pen_layout_path(self->dir, names[i], &path);
        rc = pen_buf_ok(&path, err);
        if (rc == 0)
            rc = pen_dir_make(pen_buf_text(&path), i == 0 ? 0755 : 0700, err);
    }
    return rc;
}

static int open_store(struct pen_sources_state *self, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_layout_path(self->dir, "blobs", &path);
    int rc = pen_buf_ok(&path, err);
    return rc < 0 ? rc : pen_blob_store_open(pen_buf_text(&path), &self->store, err);
}

static int watch_pushes(struct pen_sources *self, struct pen_error *err)
{
    self->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (self->inotify_fd < 0 || inotify_add_watch(self->inotify_fd, self->state.pushes_path,
                                                  IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR) < 0)
        return pen_fail_errno(err, "cannot watch %s", self->state.pushes_path);
    return 0;
}

static int state_init(struct pen_sources_state *self, const struct pen_sources_options *options,
                      struct pen_error *err)
{
    /* Children run in the folder of mirrors: all paths are made absolute. */
    self->dir = realpath(options->dir, NULL);
    if (!self->dir)
        return pen_fail_errno(err, "data folder %s", options->dir);
    self->mirrors_path = pen_strdup_printf("%s/mirrors", self->dir);
    self->pushes_path = pen_strdup_printf("%s/pushes", self->dir);
    self->outgoing_end = &self->outgoing;
    self->upkeep.child = PEN_GIT_CHILD_NONE;
    self->poll_interval_ms = options->poll_interval_ms;
    self->fetch_timeout_ms = options->fetch_timeout_ms;
    self->sealer = options->sealer;
    self->core = options->core;
    self->next_poll_ms = pen_clock_monotonic_ms() + options->poll_interval_ms;
    if (!self->mirrors_path || !self->pushes_path)
        return pen_fail(err, PEN_ENOMEM, "no memory for sources");
    return 0;
}

int pen_sources_start(const struct pen_sources_options *options, struct pen_sources **ret_sources,
                      struct pen_error *err)
{
    CHECK(options->poll_interval_ms > 0);
    CHECK(options->fetch_timeout_ms > 0);
    PEN_CLEANUP(pen_sources_stop) struct pen_sources *self = calloc(1, sizeof *self);
    if (!self)
        return pen_fail(err, PEN_ENOMEM, "no memory for sources");
    self->inotify_fd = -1;
    self->actor = (struct pen_actor){.who = PEN_THREAD_SOURCES,
                                     .name = "sources",
                                     .turn = turn,
                                     .finish = end_children,
                                     .context = self,
                                     .core = options->core};
    int rc = state_init(&self->state, options, err);
    if (rc < 0 || (rc = make_folders(&self->state, err)) < 0 ||
        (rc = pen_git_library_start(err)) < 0)
        return rc;
    self->library = true;
    if ((rc = open_store(&self->state, err)) < 0 || (rc = watch_pushes(self, err)) < 0 ||
        (rc = pen_actor_open(&self->actor, INBOX_MAX, err)) < 0 ||
        (rc = pen_actor_start(&self->actor, err)) < 0)
        return rc;
    *ret_sources = TAKE_PTR(self);
    return 0;
}

struct pen_inbox *pen_sources_inbox(struct pen_sources *self)
{
    return self->actor.inbox;
}

static void state_release(struct pen_sources_state *self)
{
    while (self->watches) {
        struct pen_watch *watch = self->watches;
        self->watches = watch->next;
        pen_watch_destroy(&watch);
    }
    while (self->runs) {
        struct pen_run *first = self->runs;
        self->runs = first->next;
        pen_run_destroy(&first);
    }
    while (self->looks) {
        struct pen_look *look = self->looks;
        self->looks = look->next;
        pen_look_destroy(&look);
    }
    while (self->mirrors) {
        struct pen_mirror *mirror = self->mirrors;
        self->mirrors = mirror->next;
        pen_mirror_destroy(&mirror);
    }
    while (self->connections) {
        struct pen_connection *connection = self->connections;
        self->connections = connection->next;
        pen_message_destroy(&connection->row);
        free(connection);
    }
    while (self->outgoing) {
        struct pen_outgoing *outgoing = self->outgoing;
        self->outgoing = outgoing->next;
        pen_post_release(&outgoing->post);
        free(outgoing);
    }
    for (size_t i = 0; i < PEN_PACKED_MAX; i++) {
        free(self->packed[i].key);
        free(self->packed[i].left_out);
    }
    pen_blob_store_close(&self->store);
    free(self->dir);
    free(self->mirrors_path);
    free(self->pushes_path);
}

void pen_sources_stop(struct pen_sources **self_p)
{
    struct pen_sources *self = TAKE_PTR(*self_p);
    if (!self)
        return;
    pen_actor_stop(&self->actor);
    state_release(&self->state);
    pen_fd_close(&self->inotify_fd);
    if (self->library)
        pen_git_library_stop();
    free(self);
}
