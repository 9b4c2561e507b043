/* agent/cache/transfer.h - artifacts between this host and the controller, chunk by chunk
 *
 * Down: the manifest, then the chunks that this host's store lacks, a few at a time, each verified
 * and put by the worker; then the worker unpacks. Up: ask which blobs the controller lacks, send
 * these within the credit, commit, wait for ArtifactStored. Either is begun again from its question
 * after a reconnection or a refusal, which costs little: what has arrived is not sent again.
 */
#ifndef PEN_AGENT_CACHE_TRANSFER_H
#define PEN_AGENT_CACHE_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/cache/worker.h"
#include "common/base/error.h"
#include "common/base/limits.h"
#include "agent.pb-c.h"
#include "capsule.pb-c.h"

enum {
    PEN_TRANSFER_GETS_MAX = 8,                           /* blobs asked for at a time */
    PEN_TRANSFER_CREDIT_DEFAULT = PEN_LIMIT_BLOB_CREDIT, /* blobs sent and not acknowledged */
    PEN_TRANSFER_QUERY_MAX = 2000,                       /* digests in one question */
    PEN_TRANSFER_PIECE_BYTES = 256 * 1024,
    PEN_TRANSFER_FAILURES_MAX = 20, /* of one download before its attempt fails */
    PEN_TRANSFER_LACKING_MAX = 3,   /* of them: the controller has no good copy; it may get one */
    PEN_TRANSFER_RETRY_FIRST_MS = 200,
    PEN_TRANSFER_RETRY_LAST_MS = 30 * 1000,
    PEN_TRANSFER_SILENCE_MS = 60 * 1000, /* no answer for so long: begin again */
};

typedef int (*pen_transfer_send_f)(void *context, const Pen__DataFromAgent *message);
/* All inputs of the attempt are in their folders, or text says why not. */
typedef void (*pen_transfer_fetched_f)(void *context, uint64_t fence, const char *text);

struct pen_transfers;

struct pen_transfers_options {
    const char *blobs;         /* folder of the blob store, read here; written by the worker only */
    struct pen_worker *worker; /* borrowed */
    pen_transfer_send_f send;
    pen_transfer_fetched_f fetched;
    void *context;
};

int pen_transfers_create(const struct pen_transfers_options *options,
                         struct pen_transfers **ret_transfers, struct pen_error *err);
void pen_transfers_destroy(struct pen_transfers **self_p);

/* Fetch artifact number index of an attempt and unpack it into folder (which is made). `fetched` is
 * called once for each, from process or on_message. Errors: PEN_ENOMEM. */
int pen_transfers_fetch(struct pen_transfers *self, uint64_t fence,
                        const Pen__ArtifactRef *artifact, const char *folder,
                        struct pen_error *err);
/* Bring an output to the controller. Errors: PEN_ENOMEM. */
int pen_transfers_push(struct pen_transfers *self, uint64_t fence, const Pen__ArtifactRef *artifact,
                       struct pen_error *err);
/* Give up all transfers of the attempt. */
void pen_transfers_drop(struct pen_transfers *self, uint64_t fence);
bool pen_transfers_is_idle(const struct pen_transfers *self, uint64_t fence);

void pen_transfers_connected(struct pen_transfers *self, uint32_t blob_credit);
void pen_transfers_disconnected(struct pen_transfers *self);
void pen_transfers_on_message(struct pen_transfers *self, Pen__DataToAgent *message);
/* A PUT or UNPACK of ours is done. */
void pen_transfers_on_job(struct pen_transfers *self, const struct pen_job *job);
void pen_transfers_on_time(struct pen_transfers *self);
int64_t pen_transfers_deadline_ms(const struct pen_transfers *self);

#endif
