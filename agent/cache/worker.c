#include "agent/cache/worker.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/blob/archive.h"
#include "common/blob/blob.h"
#include "common/io/file.h"
#include "common/io/inbox.h"
#include "common/wire/wire.h"

enum { POST_JOB = 1, POST_STOP, BATCH = 64 };

struct pen_worker {
    struct pen_inbox *jobs;
    struct pen_inbox *done;
    struct pen_blob_store *store;
    pthread_t thread;
    bool started;
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

static int pack_one(struct pen_worker *self, struct pen_job *job, const Pen__ArtifactWish *wish,
                    struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__ArtifactRef *artifact = malloc(sizeof *artifact);
    if (artifact == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an artifact");
    pen__artifact_ref__init(artifact);
    struct pen_pack_skipped skipped = {0};
    int rc = pen_archive_pack(self->store, job->folder, wish->files, wish->n_files, &skipped,
                              artifact, err);
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

static int pack_all(struct pen_worker *self, struct pen_job *job, struct pen_error *err)
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

static int unpack(struct pen_worker *self, struct pen_job *job, struct pen_error *err)
{
    int rc = pen_blob_store_sync(self->store, err); /* only what is synced can be read */
    if (rc == 0)
        rc = pen_dir_make(job->folder, 0700, err);
    return rc < 0 ? rc
                  : pen_archive_unpack(self->store, job->sha256, job->folder, &pen_unpack_default,
                                       err);
}

static void run(struct pen_worker *self, struct pen_job *job)
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
        if (!job->clean(job->folder))
            free(TAKE_PTR(job->folder));
        break;
    case PEN_JOB_REMOVE:
        (void)pen_dir_remove_tree(job->folder, NULL); /* what stays is found at the next start */
        break;
    }
    job->error.code = rc;
}

static void give_back(struct pen_worker *self, struct pen_job *job)
{
    if (job->kind == PEN_JOB_REMOVE) {
        pen_job_destroy(&job);
        return;
    }
    struct pen_post post = {.kind = POST_JOB, .body = job, .destroy = destroy_body};
    /* As many may come back as may be posted: there is room, and nobody waits for this thread. */
    if (pen_inbox_post_wait(self->done, &post, NULL) < 0)
        pen_job_destroy(&job);
}

static void *main_loop(void *argument)
{
    struct pen_worker *self = argument;
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
            give_back(self, job);
        }
        if (stop)
            return NULL;
    }
}

/* ---- the agent's side */

int pen_worker_start(const char *blobs, struct pen_worker **ret_worker, struct pen_error *err)
{
    PEN_CLEANUP(pen_worker_stop) struct pen_worker *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the worker");
    int rc;
    if ((rc = pen_dir_make(blobs, 0700, err)) < 0 ||
        (rc = pen_blob_store_open(blobs, &self->store, err)) < 0 ||
        (rc = pen_inbox_create(PEN_WORKER_JOBS_MAX, &self->jobs, err)) < 0 ||
        (rc = pen_inbox_create(2 * PEN_WORKER_JOBS_MAX, &self->done, err)) < 0)
        return rc;
    int number = pthread_create(&self->thread, NULL, main_loop, self);
    if (number != 0)
        return pen_fail(err, PEN_EIO, "no thread for the worker: %s", strerror(number));
    self->started = true;
    *ret_worker = TAKE_PTR(self);
    return 0;
}

void pen_worker_stop(struct pen_worker **self_p)
{
    struct pen_worker *self = *self_p;
    if (self == NULL)
        return;
    if (self->started) {
        struct pen_post stop = {.kind = POST_STOP};
        struct pen_post post;
        while (pen_inbox_post(self->jobs, &stop, NULL) < 0) /* full: make room, nothing waits */
            if (pen_inbox_take(self->done, &post, 1) == 1)
                pen_post_release(&post);
        (void)pthread_join(self->thread, NULL);
    }
    pen_inbox_destroy(&self->jobs);
    pen_inbox_destroy(&self->done);
    pen_blob_store_close(&self->store);
    free(self);
    *self_p = NULL;
}

int pen_worker_post(struct pen_worker *self, struct pen_job *job, struct pen_error *err)
{
    struct pen_post post = {.kind = POST_JOB, .body = job, .destroy = destroy_body};
    return pen_inbox_post(self->jobs, &post, err);
}

int pen_worker_fd(const struct pen_worker *self)
{
    return pen_inbox_fd(self->done);
}

struct pen_job *pen_worker_take(struct pen_worker *self)
{
    struct pen_post post;
    return pen_inbox_take(self->done, &post, 1) == 1 ? post.body : NULL;
}
