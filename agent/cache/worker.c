#include "agent/cache/worker.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/map.h"
#include "common/base/str.h"
#include "common/blob/archive.h"
#include "common/blob/blob.h"
#include "common/blob/glob.h"
#include "common/io/file.h"
#include "common/io/inbox.h"
#include "common/log/log.h"
#include "common/wire/wire.h"

enum { POST_JOB = 1, POST_STOP, BATCH = 64 };

/* One thread. Its jobs and its store are its own; the counts are the poster's. */
struct pen_lane {
    struct pen_inbox *jobs;
    struct pen_inbox *done; /* of the worker */
    struct pen_blob_store *store;
    pthread_t thread;
    bool started;
    size_t attempts; /* that are bound to it */
};

/* An attempt that has a lane. */
struct binding {
    struct pen_lane *lane;
    size_t waiting; /* jobs that have not come back */
    bool released;
};

/* All of it belongs to the poster's thread, but what lanes point to. */
struct pen_worker {
    struct pen_inbox *done;
    char *blobs;
    struct pen_lane *lanes[PEN_WORKER_LANES_MAX]; /* [0] cleans */
    size_t lanes_count;
    struct pen_map bindings; /* fence to binding */
    size_t waiting;          /* jobs that have not come back, of all */
};

struct pen_job *pen_job_create(enum pen_job_kind kind, uint64_t fence)
{
    struct pen_job *job = calloc(1, sizeof *job);
    if (job != NULL) {
        job->kind = kind;
        job->fence = fence;
    }
    return job;
}

void pen_job_destroy(struct pen_job **self_p)
{
    struct pen_job *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->wishes_count; i++)
        pen_message_destroy(&self->wishes[i]);
    for (size_t i = 0; i < self->artifacts_count; i++)
        pen_message_destroy(&self->artifacts[i]);
    for (size_t i = 0; i < self->mounts_count; i++)
        free(self->mounts[i]);
    free(self->mounts);
    free(self->wishes);
    free(self->artifacts);
    free(self->folder);
    free(self->note);
    pen_buf_release(&self->bytes);
    free(self);
    *self_p = NULL;
}

static void destroy_body(void *body)
{
    struct pen_job *job = body;
    pen_job_destroy(&job);
}

/* ---- the jobs */

/* What was mounted has gone with the attempt. An output that would have held it is not whole. */
static int check_mounts(const struct pen_job *job, const Pen__ArtifactWish *wish,
                        struct pen_error *err)
{
    for (size_t i = 0; i < job->mounts_count; i++)
        if (pen_globs_concern(wish->files, wish->n_files, job->mounts[i]))
            return pen_fail(err, PEN_EDENIED,
                            "output artifact '%s': a file system was mounted on '%.200s', and what "
                            "was on it went with the commands; copy it to a folder of the "
                            "workspace before they end",
                            wish->name, job->mounts[i]);
    return 0;
}

static int pack_one(struct pen_lane *self, struct pen_job *job, const Pen__ArtifactWish *wish,
                    struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__ArtifactRef *artifact = malloc(sizeof *artifact);
    if (artifact == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an artifact");
    pen__artifact_ref__init(artifact);
    struct pen_pack_skipped skipped = {0};
    int rc = check_mounts(job, wish, err);
    if (rc < 0)
        return rc;
    rc = pen_archive_pack(self->store, job->folder, wish->files, wish->n_files, &skipped, artifact,
                          err);
    if (rc < 0)
        return pen_error_prefix(err, "output artifact '%s'", wish->name);
    if (skipped.count > 0 && job->note == NULL) /* no memory: then without it */
        job->note = skipped.count == 1
                        ? pen_strdup_printf("left out of output artifact '%s': %s", wish->name,
                                            skipped.first)
                        : pen_strdup_printf("left out of output artifact '%s': %" PRIu64
                                            " sockets, pipes or devices, the first %s",
                                            wish->name, skipped.count, skipped.first);
    artifact->name = strdup(wish->name);
    if (artifact->name == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an artifact");
    job->artifacts[job->artifacts_count++] = TAKE_PTR(artifact);
    return 0;
}

static int pack_all(struct pen_lane *self, struct pen_job *job, struct pen_error *err)
{
    job->artifacts = calloc(job->wishes_count + 1, sizeof *job->artifacts);
    if (job->artifacts == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for artifacts");
    for (size_t i = 0; i < job->wishes_count; i++) {
        int rc = pack_one(self, job, job->wishes[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int unpack(struct pen_lane *self, struct pen_job *job, struct pen_error *err)
{
    int rc = pen_blob_store_sync(self->store, err); /* only what is synced can be read */
    if (rc == 0)
        rc = pen_dir_make(job->folder, 0700, err);
    if (rc == 0)
        rc = pen_dir_empty(job->folder, err); /* a try before this one may have come half the way */
    return rc < 0 ? rc
                  : pen_archive_unpack(self->store, job->sha256, job->folder, &pen_unpack_default,
                                       err);
}

/* A folder that could not be removed: it is tried again at the next start. */
static void log_left(const struct pen_job *job, const struct pen_error *err)
{
    if (err->code < 0)
        pen_log(PEN_LOG_WARNING, "a used workspace stays until the agent starts again",
                "folder=%s why=%s", job->folder, err->message);
}

static void run(struct pen_lane *self, struct pen_job *job)
{
    struct pen_error *err = &job->error;
    int rc = 0;
    switch (job->kind) {
    case PEN_JOB_PUT:
        rc = pen_blob_put_compressed(self->store, job->sha256, job->bytes.data, job->bytes.size,
                                     job->plain_size_max, err);
        if (rc == 0 && job->sync)
            rc = pen_blob_store_sync(self->store, err);
        pen_buf_release(&job->bytes);
        break;
    case PEN_JOB_UNPACK:
        rc = unpack(self, job, err);
        break;
    case PEN_JOB_PACK:
        rc = pack_all(self, job, err);
        break;
    case PEN_JOB_CLEAN:
        if (!job->clean(job->folder, err)) {
            log_left(job, err);
            free(TAKE_PTR(job->folder));
        }
        break;
    case PEN_JOB_REMOVE:
        (void)pen_dir_remove_tree(job->folder, err);
        log_left(job, err);
        break;
    }
    job->error.code = rc;
}

static void give_back(struct pen_lane *self, struct pen_job *job)
{
    struct pen_post post = {.kind = POST_JOB, .body = job, .destroy = destroy_body};
    /* As many may come back as may be posted: there is room, and nobody waits for this thread. */
    if (pen_inbox_post_wait(self->done, &post, NULL) < 0)
        pen_job_destroy(&job);
}

static void tell_damage(struct pen_lane *self)
{
    char text[PEN_ERROR_MESSAGE_MAX];
    if (pen_blob_store_damage(self->store, text))
        pen_log(PEN_LOG_WARNING, "damaged blobs", "what=\"%s\"", text);
}

static void *main_loop(void *argument)
{
    struct pen_lane *self = argument;
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        struct pollfd wait = {.fd = pen_inbox_fd(self->jobs), .events = POLLIN};
        (void)poll(&wait, 1, -1);
        struct pen_post posts[BATCH];
        size_t count = pen_inbox_take(self->jobs, posts, BATCH);
        bool stop = false;
        for (size_t i = 0; i < count; i++) {
            stop = stop || posts[i].kind == POST_STOP;
            if (stop || posts[i].kind != POST_JOB) {
                pen_post_release(&posts[i]);
                continue;
            }
            struct pen_job *job = TAKE_PTR(posts[i].body);
            run(self, job);
            tell_damage(self);
            give_back(self, job);
        }
        if (stop)
            return NULL;
    }
}

/* ---- lanes */

static void lane_close(struct pen_lane **self_p)
{
    struct pen_lane *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    pen_inbox_destroy(&self->jobs);
    pen_blob_store_close(&self->store);
    free(self);
}

static int lane_add(struct pen_worker *self, struct pen_error *err)
{
    PEN_CLEANUP(lane_close) struct pen_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a thread");
    lane->done = self->done;
    int rc = pen_blob_store_open(self->blobs, &lane->store, err);
    if (rc < 0 || (rc = pen_inbox_create(PEN_WORKER_JOBS_MAX + 1, &lane->jobs, err)) < 0)
        return rc;
    int number = pthread_create(&lane->thread, NULL, main_loop, lane);
    if (number != 0)
        return pen_fail(err, PEN_EIO, "no thread for the worker: %s", strerror(number));
    lane->started = true;
    self->lanes[self->lanes_count++] = TAKE_PTR(lane);
    return 0;
}

/* The lane with the fewest attempts, and a new one while none is free. */
static struct pen_lane *lane_choose(struct pen_worker *self)
{
    CHECK(self->lanes_count > 1); /* the first two were made at the start */
    struct pen_lane *least = self->lanes[1];
    for (size_t i = 2; i < self->lanes_count; i++)
        if (self->lanes[i]->attempts < least->attempts)
            least = self->lanes[i];
    if (least->attempts > 0 && self->lanes_count < PEN_WORKER_LANES_MAX &&
        lane_add(self, NULL) == 0)
        least = self->lanes[self->lanes_count - 1];
    return least; /* without memory or threads for another they share */
}

static int binding_of(struct pen_worker *self, uint64_t fence, struct binding **ret_binding,
                      struct pen_error *err)
{
    struct binding *binding = pen_map_get(&self->bindings, pen_key_number(fence));
    if (binding == NULL) {
        binding = calloc(1, sizeof *binding);
        if (binding == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for a job");
        int rc = pen_map_put(&self->bindings, pen_key_number(fence), binding, err);
        if (rc < 0) {
            free(binding);
            return rc;
        }
        binding->lane = fence == 0 ? self->lanes[0] : lane_choose(self);
        binding->lane->attempts++;
    }
    binding->released = false;
    *ret_binding = binding;
    return 0;
}

static void unbind(struct pen_worker *self, uint64_t fence, struct binding *binding)
{
    if (!binding->released || binding->waiting > 0)
        return;
    binding->lane->attempts--;
    (void)pen_map_remove(&self->bindings, pen_key_number(fence));
    free(binding);
}

/* ---- the agent's side */

int pen_worker_start(const char *blobs, struct pen_worker **ret_worker, struct pen_error *err)
{
    PEN_CLEANUP(pen_worker_stop) struct pen_worker *self = calloc(1, sizeof *self);
    if (self == NULL || !pen_str_set(&self->blobs, blobs))
        return pen_fail(err, PEN_ENOMEM, "no memory for the worker");
    int rc;
    if ((rc = pen_dir_make(blobs, 0700, err)) < 0 ||
        (rc = pen_inbox_create(2 * PEN_WORKER_JOBS_MAX, &self->done, err)) < 0 ||
        (rc = lane_add(self, err)) < 0 || (rc = lane_add(self, err)) < 0)
        return rc;
    *ret_worker = TAKE_PTR(self);
    return 0;
}

void pen_worker_stop(struct pen_worker **self_p)
{
    struct pen_worker *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    const struct pen_post stop = {.kind = POST_STOP};
    for (size_t i = 0; i < self->lanes_count; i++) /* its inbox has room for this one, too */
        CHECK(pen_inbox_post(self->lanes[i]->jobs, &stop, NULL) == 0);
    for (size_t i = 0; i < self->lanes_count; i++) {
        (void)pthread_join(self->lanes[i]->thread, NULL);
        lane_close(&self->lanes[i]);
    }
    for (struct pen_map_node *node = pen_map_first(&self->bindings); node != NULL;
         node = pen_map_next(node))
        free(pen_map_value(node));
    pen_map_release(&self->bindings);
    pen_inbox_destroy(&self->done);
    free(self->blobs);
    free(self);
}

int pen_worker_post(struct pen_worker *self, struct pen_job *job, struct pen_error *err)
{
    if (self->waiting == PEN_WORKER_JOBS_MAX)
        return pen_fail(err, PEN_ELIMIT, "%d jobs wait for the worker already",
                        PEN_WORKER_JOBS_MAX);
    struct binding *binding = NULL;
    int rc = binding_of(self, job->fence, &binding, err);
    if (rc < 0)
        return rc;
    CHECK(binding != NULL);
    struct pen_post post = {.kind = POST_JOB, .body = job, .destroy = destroy_body};
    if ((rc = pen_inbox_post(binding->lane->jobs, &post, err)) < 0)
        return rc;
    binding->waiting++;
    self->waiting++;
    return 0;
}

void pen_worker_release(struct pen_worker *self, uint64_t fence)
{
    struct binding *binding = pen_map_get(&self->bindings, pen_key_number(fence));
    if (binding == NULL || fence == 0)
        return;
    binding->released = true;
    unbind(self, fence, binding);
}

int pen_worker_fd(const struct pen_worker *self)
{
    return pen_inbox_fd(self->done);
}

struct pen_job *pen_worker_take(struct pen_worker *self)
{
    struct pen_post post;
    while (pen_inbox_take(self->done, &post, 1) == 1) {
        struct pen_job *job = post.body;
        struct binding *binding = pen_map_get(&self->bindings, pen_key_number(job->fence));
        CHECK(binding != NULL && binding->waiting > 0);
        binding->waiting--;
        self->waiting--;
        unbind(self, job->fence, binding);
        if (job->kind != PEN_JOB_REMOVE)
            return job;
        pen_job_destroy(&job);
    }
    return NULL;
}
