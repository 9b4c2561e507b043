/* controller/retention/marks.h - what rows name: manifests, chunks and logs
 *
 * Manifests and logs are remembered exactly. Of chunks there are many, so the first 8 bytes of the
 * digest stand for one: two that share them are both kept, which costs a file and loses nothing.
 */
#ifndef PEN_CONTROLLER_RETENTION_MARKS_H
#define PEN_CONTROLLER_RETENTION_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/keys/digest.h"
#include "row.pb-c.h"

/* All zero to begin with. */
struct pen_marks {
    uint8_t (*manifests)[PEN_SHA256_SIZE]; /* with repetitions until pen_marks_settle */
    size_t manifests_count;
    size_t manifests_settled; /* of them, sorted and each once */
    size_t manifests_capacity;
    uint64_t *fences; /* with repetitions and in any order until pen_marks_settle */
    size_t fences_count;
    size_t fences_capacity;
    uint64_t *blobs; /* open addressing; 0: free */
    size_t blobs_count;
    size_t blobs_capacity;
    uint64_t last_fence; /* that the rows know */
    bool out_of_memory;  /* kept until pen_marks_ok */
};

void pen_marks_release(struct pen_marks *self);

/* What a row names. */
void pen_marks_execution(struct pen_marks *self, const Pen__ExecutionRow *row);
void pen_marks_action(struct pen_marks *self, const Pen__ActionExecutionRow *row);
void pen_marks_attempt(struct pen_marks *self, const Pen__AttemptRow *row);
void pen_marks_stage(struct pen_marks *self, const Pen__StageStateRow *row);

/* All rows were seen: sort. Errors: PEN_ENOMEM, of everything before. */
int pen_marks_settle(struct pen_marks *self, struct pen_error *err);

/* A manifest or a chunk is needed. */
int pen_marks_blob(struct pen_marks *self, const uint8_t sha256[PEN_SHA256_SIZE],
                   struct pen_error *err);
bool pen_marks_has_blob(const struct pen_marks *self, const uint8_t sha256[PEN_SHA256_SIZE]);

/* Whether the log may not be dropped: a row has the fence, or may come to have it. */
bool pen_marks_has_log(const struct pen_marks *self, uint64_t fence);

#endif
