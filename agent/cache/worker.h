/* agent/cache/worker.h - threads for work that takes long: blobs, archives, removing trees
 *
 * They are the only writers of the agent's blob store, and they run so that packing a gigabyte
 * delays neither a heartbeat nor another attempt. Each attempt has a lane, a thread with a store of
 * its own: its jobs are done in order, from the first until pen_worker_release(). Cleaning has
 * one lane for all. Each job comes back, done or failed.
 */
#ifndef PEN_AGENT_CACHE_WORKER_H
#define PEN_AGENT_CACHE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/keys/digest.h"
#include "capsule.pb-c.h"

enum {
    PEN_WORKER_JOBS_MAX = 4096, /* that have not come back */
    PEN_WORKER_LANES_MAX = 64,  /* more attempts at once than that share lanes */
};

enum pen_job_kind {
    PEN_JOB_PUT,    /* sha256, bytes (compressed), plain_size_max: into the store */
    PEN_JOB_UNPACK, /* sha256 (of the manifest), folder: made, then filled */
    PEN_JOB_PACK,   /* folder, wishes: to artifacts */
    PEN_JOB_CLEAN,  /* folder, clean: called with it; its folder is NULL when that was false */
    PEN_JOB_REMOVE, /* folder: with everything in it; does not come back to the poster */
};

struct pen_job {
    enum pen_job_kind kind;
    uint64_t fence;
    uint64_t number; /* the poster's own */
    bool sync;       /* with PUT: readable at once */
    uint8_t sha256[PEN_SHA256_SIZE];
    struct pen_buf bytes;
    size_t plain_size_max;
    char *folder;
    bool (*clean)(const char *folder, struct pen_error *err);
    Pen__ArtifactWish **wishes; /* copies */
    size_t wishes_count;
    char **mounts; /* below folder, relative: what was on them is gone */
    size_t mounts_count;
    Pen__ArtifactRef **artifacts; /* made by PACK, one for each wish */
    size_t artifacts_count;
    char *note;             /* by PACK: what was left out of them; NULL: nothing */
    struct pen_error error; /* code 0: done */
};

struct pen_job *pen_job_create(enum pen_job_kind kind, uint64_t fence);
void pen_job_destroy(struct pen_job **self_p);

struct pen_worker;

/* Open the store at blobs and start the first threads; others follow when they are needed. */
int pen_worker_start(const char *blobs, struct pen_worker **ret_worker, struct pen_error *err);
/* Finish the jobs at hand, drop the others, join. */
void pen_worker_stop(struct pen_worker **self_p);

/* Takes the job, on success only. Jobs of fence 0 are cleaning. Errors: PEN_ELIMIT (too many jobs
 * wait), PEN_ENOMEM. */
int pen_worker_post(struct pen_worker *self, struct pen_job *job, struct pen_error *err);

/* The attempt has no more jobs: its lane is another's, when those that wait are done. */
void pen_worker_release(struct pen_worker *self, uint64_t fence);

/* Readable when jobs have come back. */
int pen_worker_fd(const struct pen_worker *self);
/* A job that came back, or NULL; the caller owns it. */
struct pen_job *pen_worker_take(struct pen_worker *self);

#endif
