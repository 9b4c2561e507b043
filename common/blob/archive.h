/* common/blob/archive.h - a folder as an artifact, and back
 *
 * An artifact is a deterministic tar stream (sorted names, no owner, no times but zero) cut by
 * content into chunks, and a manifest that lists them. Its name is the digest of the packed
 * manifest.
 */
#ifndef PEN_COMMON_BLOB_ARCHIVE_H
#define PEN_COMMON_BLOB_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/blob/blob.h"
#include "capsule.pb-c.h"
#include "manifest.pb-c.h"

/* ---- making one, entry by entry, in any order of calls that sorts by path */

struct pen_packer;

int pen_packer_create(struct pen_blob_store *store, struct pen_packer **ret_packer,
                      struct pen_error *err);
void pen_packer_destroy(struct pen_packer **self_p);

/* Paths are relative, without "." or ".." parts. Errors: PEN_EINVAL, PEN_ENOSPACE, PEN_EIO. */
int pen_packer_add_folder(struct pen_packer *self, const char *path, struct pen_error *err);
int pen_packer_add_bytes(struct pen_packer *self, const char *path, bool executable,
                         const void *bytes, size_t size, struct pen_error *err);
int pen_packer_add_file(struct pen_packer *self, const char *path, bool executable, int fd,
                        uint64_t size, struct pen_error *err);
int pen_packer_add_link(struct pen_packer *self, const char *path, const char *target,
                        struct pen_error *err);

/* Finish, store the manifest, sync the store. ret_ref (name unset) is filled; release its
 * manifest_sha256 with free. */
int pen_packer_finish(struct pen_packer *self, Pen__ArtifactRef *ret_ref, struct pen_error *err);

/* ---- whole folders */

/* Pack what matches one of the globs (all of it when there are none) below folder; symbolic links
 * are kept as links and never followed. Errors: PEN_ENOTFOUND when a glob matches nothing. */
int pen_archive_pack(struct pen_blob_store *store, const char *folder, char *const *globs,
                     size_t globs_count, Pen__ArtifactRef *ret_ref, struct pen_error *err);

struct pen_unpack_limits {
    uint64_t bytes_max;
    uint64_t entries_max;
};
extern const struct pen_unpack_limits pen_unpack_default; /* 64 GiB, 1,000,000 entries */

/* Unpack into an existing folder. Regular files, folders and links that stay inside, nothing else;
 * nothing is ever written outside. Every chunk is verified. Errors: PEN_ENOTFOUND (a chunk lacks),
 * PEN_ECORRUPT, PEN_EDENIED (an entry that would escape), PEN_ELIMIT, PEN_ENOSPACE. */
int pen_archive_unpack(const struct pen_blob_store *store,
                       const uint8_t manifest_sha256[PEN_SHA256_SIZE], const char *folder,
                       const struct pen_unpack_limits *limits, struct pen_error *err);

/* Read and check a manifest. Free it with pen_message_destroy. */
int pen_manifest_get(const struct pen_blob_store *store,
                     const uint8_t manifest_sha256[PEN_SHA256_SIZE], Pen__Manifest **ret_manifest,
                     struct pen_error *err);

/* Renew a manifest and all of its chunks, so that an artifact may be told of: it is whole, and
 * nobody drops it before the reference is committed. ret_manifest may be NULL. Errors:
 * PEN_ENOTFOUND, and then ret_lacking is a blob that is not there; PEN_ECORRUPT, PEN_ENOMEM. */
int pen_manifest_renew(struct pen_blob_store *store, const uint8_t manifest_sha256[PEN_SHA256_SIZE],
                       Pen__Manifest **ret_manifest, uint8_t ret_lacking[PEN_SHA256_SIZE],
                       struct pen_error *err);

#endif
