/* agent/cache/transfer_internal.h - one transfer, shared by the files of this room
 *
 *     down: IDLE -> MANIFEST -> CHUNKS -> UNPACKING -> done
 *     up:   IDLE -> ASKING -> SENDING -> (ASKING ...) -> COMMITTING -> done
 *
 * A lost connection, a refusal or a long silence leads back to IDLE, and from there on at
 * retry_at_ms.
 */
#ifndef PEN_AGENT_CACHE_TRANSFER_INTERNAL_H
#define PEN_AGENT_CACHE_TRANSFER_INTERNAL_H

#include "agent/cache/transfer.h"
#include "common/blob/blob.h"
#include "common/base/map.h"

enum { TRANSFER_FLIGHTS_MAX = 64 };

enum transfer_state {
    TRANSFER_IDLE,
    TRANSFER_MANIFEST,
    TRANSFER_CHUNKS,
    TRANSFER_UNPACKING,
    TRANSFER_ASKING,
    TRANSFER_SENDING,
    TRANSFER_COMMITTING,
};

struct digest {
    uint8_t sha256[PEN_SHA256_SIZE];
    uint32_t plain_size; /* 0: not known, a manifest */
};

/* A blob that was asked for, or sent, and is not answered. */
struct flight {
    struct digest digest;
    struct pen_buf bytes; /* what has arrived of it */
};

struct transfer {
    uint64_t id;
    uint64_t fence;
    bool up;
    enum transfer_state state;
    char *name;
    char *folder;
    uint8_t manifest[PEN_SHA256_SIZE];
    uint64_t size;
    struct digest *digests; /* down: what lacks; up: everything */
    size_t digests_count, next;
    uint32_t *needed; /* up: indexes that the controller lacks, of the question at hand */
    size_t needed_count, needed_next;
    uint64_t query;
    size_t query_from, query_count;
    struct flight flights[TRANSFER_FLIGHTS_MAX];
    size_t flights_count;
    size_t puts; /* with the worker */
    int64_t retry_at_ms, pause_ms, heard_ms;
    unsigned failures;
    bool suspect;     /* a blob of this host was damaged: the others are read before they count */
    unsigned lacking; /* times that the controller had no good copy of a blob */
    bool lost;        /* the worker's answers belong to a try that was given up */
};

struct pen_transfers {
    struct pen_transfers_options options;
    struct pen_blob_store *store;
    struct pen_map transfers; /* id to transfer */
    uint64_t last_id, last_query;
    uint32_t credit, in_flight; /* up, in blobs */
    bool connected;
    int64_t deadline_ms;
};

void transfer_wake(struct pen_transfers *self, int64_t at_ms);
/* Down: end it without success. The transfer is gone. */
void transfer_give_up(struct pen_transfers *self, struct transfer *transfer, const char *why);
/* Begin again later; a download that failed too often ends with why. */
void transfer_retry(struct pen_transfers *self, struct transfer *transfer, const char *why);
/* Send what may be sent now. */
void transfer_pump(struct pen_transfers *self, struct transfer *transfer);
void transfer_remove(struct pen_transfers *self, struct transfer *transfer);
void flights_clear(struct pen_transfers *self, struct transfer *transfer);
struct flight *flight_find(struct transfer *transfer, const uint8_t *sha256);
void flight_remove(struct pen_transfers *self, struct transfer *transfer, struct flight *flight);
/* Chunks of the transfer's manifest, each once. down: only those that lack here. */
int digests_load(struct pen_transfers *self, struct transfer *transfer, struct pen_error *err);

void download_pump(struct pen_transfers *self, struct transfer *transfer);
void download_on_data(struct pen_transfers *self, const Pen__BlobData *data);
void download_on_job(struct pen_transfers *self, struct transfer *transfer,
                     const struct pen_job *job);

void upload_pump(struct pen_transfers *self, struct transfer *transfer);
void upload_on_need(struct pen_transfers *self, const Pen__BlobNeed *need);
void upload_on_ack(struct pen_transfers *self, const Pen__BlobAck *ack);
void upload_on_stored(struct pen_transfers *self, const Pen__ArtifactStored *stored);

#endif
