/* controller/data/internal.h - what the files of the data plane share
 *
 *     data.c       the thread: effects in, messages to the file that handles them
 *     attempts.c   which attempts are open, whose, and which inputs they may read
 *     logs.c       log bytes by offset, grouped syncs, acknowledgements
 *     uploads.c    blobs and artifacts that come in
 *     downloads.c  what goes out: answers, and blobs of inputs, at the pace of the peer
 *
 * One thread does all of it. A message that cannot be served is answered by Refused, which names
 * the fence or blob and the reason; a full disk is an answer too (FULL), never the end of the
 * thread.
 */
#ifndef PEN_CONTROLLER_DATA_INTERNAL_H
#define PEN_CONTROLLER_DATA_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/blob/blob.h"
#include "controller/dispatch/keyring.h"
#include "controller/dispatch/plane.h"
#include "controller/post/actor.h"
#include "core.pb-c.h"

/* The log of one attempt. Its truth is the file; sizes are known once it was looked at. */
struct log {
    bool measured;        /* size is that of the file */
    bool entry_synced;    /* its name in the folder is on disk */
    bool dirty;           /* in pen_data.dirty: to be synced, and acknowledged to ack_link */
    bool grew;            /* followers are to be woken */
    bool stored_reported; /* LogStored was posted for the size that is wanted now */
    bool stored_waits;    /* it is due, and the core could not take it yet */
    int fd;               /* -1: closed */
    uint64_t used;        /* when last used, in ticks of pen_data.log_ticks */
    uint64_t size;        /* bytes in the file */
    uint64_t synced;      /* bytes that are known to be on disk */
    uint64_t floor;       /* size when first measured: a former life may have acknowledged it */
    uint64_t ack_link;    /* 0: nobody waits */
    int64_t dirty_since_ms;
};

/* A blob that an attempt may read. */
struct input_blob {
    uint8_t sha256[PEN_SHA256_SIZE];
    uint64_t plain_size;
};

/* One output artifact, by its place in AttemptOpen.outputs. */
struct output {
    bool commit_waits;  /* to be checked at the end of the turn */
    bool arrived_waits; /* checked; the core could not take the news yet */
    uint64_t link;      /* who committed it */
    uint8_t manifest_sha256[PEN_SHA256_SIZE];
    uint64_t size;
};

struct attempt {
    uint64_t fence;
    Pen__AttemptOpen *open; /* what the core said last */
    struct log log;
    struct output *outputs;    /* open->n_outputs of them */
    struct pen_buf assembling; /* a blob that has come in part */
    uint8_t assembling_sha256[PEN_SHA256_SIZE];
    uint64_t uploaded_bytes;
    struct input_blob *inputs; /* sorted by digest; NULL until the first BlobGet */
    size_t inputs_count;
    size_t inputs_capacity;
};

struct pen_data {
    char *dir;
    struct pen_keyring *keys;
    struct pen_plane *plane;
    struct pen_blob_store *store;
    struct pen_actor actor;
    struct pen_inbox *http;   /* borrowed, may be NULL */
    bool posts_wait;          /* a post did not fit into an inbox: try again soon */
    struct pen_map attempts;  /* fence -> struct attempt, owned */
    struct pen_map downloads; /* link -> struct download_queue, owned */
    struct attempt **dirty;   /* attempts with log.dirty */
    size_t dirty_count;
    size_t dirty_capacity;
    size_t grew_count;       /* attempts with log.grew */
    size_t stored_waiting;   /* attempts with log.stored_waits */
    size_t commits_waiting;  /* outputs with commit_waits or arrived_waits */
    size_t assembling_bytes; /* of all attempts */
    size_t log_files_open;
    uint64_t log_ticks;
    struct pen_buf packed;    /* scratch */
    struct pen_error failure; /* of an effect; code 0 while there is none */
};

/* ---- data.c */

/* Send to an agent. */
void pen_data_answer(struct pen_data *self, const struct pen_link *link, Pen__DataToAgent *answer);

struct refusal {
    uint64_t fence;
    const uint8_t *sha256; /* NULL when it is not about a blob */
};
void pen_data_refuse(struct pen_data *self, const struct pen_link *link, Pen__RefusedCode code,
                     const struct refusal *about, const char *reason);
/* The code follows from err. */
void pen_data_refuse_error(struct pen_data *self, const struct pen_link *link,
                           const struct refusal *about, const struct pen_error *err);

/* Perform the effects that wait. Called at each turn, and before a fence is called unknown: its
 * opening may have been posted since the turn began. */
void pen_data_take_posts(struct pen_data *self);

/* Post to the core, which then owns *input. False when there is no room now. */
bool pen_data_post(struct pen_data *self, Pen__Input **input);

/* ---- attempts.c */

/* Takes *open. Errors: PEN_ENOMEM. */
int pen_data_attempt_open(struct pen_data *self, Pen__AttemptOpen **open, struct pen_error *err);
void pen_data_attempt_close(struct pen_data *self, uint64_t fence);
void pen_data_attempts_release(struct pen_data *self);

/* The open attempt of this fence if it is the sender's, else NULL and the sender has been refused.
 */
struct attempt *pen_data_attempt_of(struct pen_data *self, const struct pen_link *link,
                                    bool has_fence, uint64_t fence);

/* The blob, if it belongs to an input of the attempt. Errors: PEN_EDENIED, PEN_ENOTFOUND,
 * PEN_ECORRUPT (a manifest that cannot be read), PEN_ENOMEM. */
int pen_data_attempt_input(struct pen_data *self, struct attempt *attempt,
                           const uint8_t sha256[PEN_SHA256_SIZE],
                           const struct input_blob **ret_input, struct pen_error *err);

/* ---- logs.c */

void pen_data_log(struct pen_data *self, const struct pen_link *link, const Pen__LogData *data);
/* The attempt was opened, maybe with another wanted size. */
void pen_data_log_opened(struct pen_data *self, struct attempt *attempt);
/* Sync, close and forget the log's state. */
void pen_data_log_close(struct pen_data *self, struct attempt *attempt);
/* Sync what has to be: everything when idle, else what has waited long enough or is wanted now;
 * then acknowledge, report and wake followers. Errors: PEN_EIO when a log can be neither synced nor
 * cut. */
int pen_data_logs_sync(struct pen_data *self, bool idle, struct pen_error *err);

/* ---- uploads.c */

void pen_data_blob_query(struct pen_data *self, const struct pen_link *link,
                         const Pen__BlobQuery *query);
void pen_data_blob_piece(struct pen_data *self, const struct pen_link *link,
                         const Pen__BlobData *data);
void pen_data_artifact_commit(struct pen_data *self, const struct pen_link *link,
                              const Pen__ArtifactCommit *commit);
void pen_data_artifact_accepted(struct pen_data *self, const Pen__ArtifactAccepted *accepted);
/* Check the artifacts that were committed in this turn and report those that are whole. */
void pen_data_artifacts_settle(struct pen_data *self);

/* ---- downloads.c */

void pen_data_blob_wanted(struct pen_data *self, const struct pen_link *link,
                          const Pen__BlobGet *get);
/* Send a packed answer, now or as soon as the peer's queue has room. A peer that lets too many wait
 * is cut. */
void pen_data_send(struct pen_data *self, const struct pen_link *link, const void *bytes,
                   size_t size);
/* Send as much as the peers' queues take. */
void pen_data_downloads_pump(struct pen_data *self);
void pen_data_downloads_drop(struct pen_data *self, uint64_t link);
void pen_data_downloads_release(struct pen_data *self);

#endif
