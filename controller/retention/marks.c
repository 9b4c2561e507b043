#include "controller/retention/marks.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

enum { FIRST_CAPACITY = 1024 };

void pen_marks_release(struct pen_marks *self)
{
    free(self->manifests);
    free(self->fences);
    free(self->blobs);
    *self = (struct pen_marks){.manifests = NULL};
}

/* ---- manifests and logs */

static int compare_digests(const void *a, const void *b)
{
    return memcmp(a, b, PEN_SHA256_SIZE);
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a;
    uint64_t second = *(const uint64_t *)b;
    return first < second ? -1 : first > second ? 1 : 0;
}

/* Most artifacts are named by several rows. */
static void each_manifest_once(struct pen_marks *self)
{
    if (self->manifests_count == 0)
        return;
    qsort(self->manifests, self->manifests_count, PEN_SHA256_SIZE, compare_digests);
    size_t kept = 1;
    for (size_t i = 1; i < self->manifests_count; i++)
        if (compare_digests(self->manifests[i], self->manifests[kept - 1]) != 0)
            memmove(self->manifests[kept++], self->manifests[i], PEN_SHA256_SIZE);
    self->manifests_count = self->manifests_settled = kept;
}

static void add_manifest(struct pen_marks *self, const Pen__ArtifactRef *artifact)
{
    if (artifact == NULL || !artifact->has_manifest_sha256 ||
        artifact->manifest_sha256.len != PEN_SHA256_SIZE)
        return;
    if (self->manifests_count == self->manifests_capacity)
        each_manifest_once(self);
    if (self->manifests_count * 2 >= self->manifests_capacity &&
        self->manifests_count == self->manifests_settled) {
        size_t capacity =
            self->manifests_capacity == 0 ? FIRST_CAPACITY : self->manifests_capacity * 2;
        void *grown = reallocarray(self->manifests, capacity, PEN_SHA256_SIZE);
        if (grown == NULL) {
            self->out_of_memory = true;
            return;
        }
        self->manifests = grown;
        self->manifests_capacity = capacity;
    }
    CHECK(self->manifests_count < self->manifests_capacity);
    memcpy(self->manifests[self->manifests_count++], artifact->manifest_sha256.data,
           PEN_SHA256_SIZE);
}

static void add_produced(struct pen_marks *self, Pen__ProducedArtifact *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_manifest(self, list[i]->artifact);
}

static void add_fence(struct pen_marks *self, uint64_t fence)
{
    if (self->fences_count == self->fences_capacity) {
        size_t capacity = self->fences_capacity == 0 ? FIRST_CAPACITY : self->fences_capacity * 2;
        uint64_t *fences = reallocarray(self->fences, capacity, sizeof fences[0]);
        if (fences == NULL) {
            self->out_of_memory = true;
            return;
        }
        self->fences = fences;
        self->fences_capacity = capacity;
    }
    self->fences[self->fences_count++] = fence;
}

/* ---- rows: every field of row.proto that holds an ArtifactRef */

void pen_marks_execution(struct pen_marks *self, const Pen__ExecutionRow *row)
{
    add_produced(self, row->artifacts, row->n_artifacts);
}

void pen_marks_action(struct pen_marks *self, const Pen__ActionExecutionRow *row)
{
    add_produced(self, row->inputs, row->n_inputs);
    add_produced(self, row->outputs, row->n_outputs);
    add_produced(self, row->approves, row->n_approves);
}

void pen_marks_attempt(struct pen_marks *self, const Pen__AttemptRow *row)
{
    add_fence(self, row->fence);
    for (size_t i = 0; i < row->n_stored; i++)
        add_manifest(self, row->stored[i]);
    for (size_t i = 0; row->finished != NULL && i < row->finished->n_artifacts; i++)
        add_manifest(self, row->finished->artifacts[i]);
}

void pen_marks_stage(struct pen_marks *self, const Pen__StageStateRow *row)
{
    if (row->rollback_target != NULL)
        add_produced(self, row->rollback_target->artifacts, row->rollback_target->n_artifacts);
}

int pen_marks_settle(struct pen_marks *self, struct pen_error *err)
{
    if (self->out_of_memory)
        return pen_fail(err, PEN_ENOMEM, "no memory to mark what history names");
    each_manifest_once(self);
    if (self->fences_count > 0)
        qsort(self->fences, self->fences_count, sizeof self->fences[0], compare_numbers);
    return 0;
}

bool pen_marks_has_log(const struct pen_marks *self, uint64_t fence)
{
    return fence > self->last_fence ||
           (self->fences_count > 0 && bsearch(&fence, self->fences, self->fences_count,
                                              sizeof fence, compare_numbers) != NULL);
}

/* ---- blobs */

static uint64_t short_of(const uint8_t sha256[PEN_SHA256_SIZE])
{
    uint64_t number;
    memcpy(&number, sha256, sizeof number);
    return number == 0 ? 1 : number;
}

/* Where the number is, or where it would be. */
static size_t place_of(const uint64_t *blobs, size_t capacity, uint64_t number)
{
    size_t i = (size_t)(number >> 7) & (capacity - 1);
    while (blobs[i] != 0 && blobs[i] != number)
        i = (i + 1) & (capacity - 1);
    return i;
}

static int grow_blobs(struct pen_marks *self, struct pen_error *err)
{
    size_t capacity = self->blobs_capacity == 0 ? FIRST_CAPACITY : self->blobs_capacity * 2;
    uint64_t *blobs = calloc(capacity, sizeof blobs[0]);
    if (blobs == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to mark %zu blobs", capacity);
    for (size_t i = 0; i < self->blobs_capacity; i++)
        if (self->blobs[i] != 0)
            blobs[place_of(blobs, capacity, self->blobs[i])] = self->blobs[i];
    free(self->blobs);
    self->blobs = blobs;
    self->blobs_capacity = capacity;
    return 0;
}

int pen_marks_blob(struct pen_marks *self, const uint8_t sha256[PEN_SHA256_SIZE],
                   struct pen_error *err)
{
    if (self->blobs_count * 2 >= self->blobs_capacity) {
        int rc = grow_blobs(self, err);
        if (rc < 0)
            return rc;
    }
    size_t place = place_of(self->blobs, self->blobs_capacity, short_of(sha256));
    self->blobs_count += self->blobs[place] == 0 ? 1 : 0;
    self->blobs[place] = short_of(sha256);
    return 0;
}

bool pen_marks_has_blob(const struct pen_marks *self, const uint8_t sha256[PEN_SHA256_SIZE])
{
    return self->blobs_capacity > 0 &&
           self->blobs[place_of(self->blobs, self->blobs_capacity, short_of(sha256))] != 0;
}
