/* common/blob/archive.h - a folder as an artifact, and back
 *
 * An artifact is a manifest of chunks: of its entries, sorted by path, and of the contents of its
 * files (proto/manifest.proto). Its name is the digest of the packed manifest, so that the same
 * tree with the same times has the same name, and another time costs no content.
 *
 * What an artifact keeps of a file: path, content, permission bits, time of change; of a link its
 * target, wherever that points, and its time. It keeps no owner, no set-user-ID and the like, no
 * extended attributes, and not that two names are one file. Links are never followed.
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

enum {
    /* Of every file of a source tree, and of what no time is known of: 2000-01-01, UTC. The time of
     * a commit would make each commit another artifact, and zip knows nothing before 1980. */
    PEN_ARCHIVE_FIXED_TIME_S = 946684800,
    PEN_ARCHIVE_TARGET_MAX = 4095, /* bytes of a link's target: more the kernel does not make */
};

/* What is kept of a file, folder or link beside its name and content. */
struct pen_entry_facts {
    uint32_t mode; /* permission bits; others are dropped; of links: of no use */
    int64_t mtime_s;
    uint32_t mtime_ns;
};

struct pen_packer;

int pen_packer_create(struct pen_blob_store *store, struct pen_packer **ret_packer,
                      struct pen_error *err);
void pen_packer_destroy(struct pen_packer **self_p);

/* Paths are relative, without "." or ".." parts; a folder comes before what is in it. Errors:
 * PEN_EINVAL, PEN_ENOSPACE, PEN_EIO. */
int pen_packer_add_folder(struct pen_packer *self, const char *path,
                          const struct pen_entry_facts *facts, struct pen_error *err);
int pen_packer_add_bytes(struct pen_packer *self, const char *path,
                         const struct pen_entry_facts *facts, const void *bytes, size_t size,
                         struct pen_error *err);
int pen_packer_add_file(struct pen_packer *self, const char *path,
                        const struct pen_entry_facts *facts, int fd, uint64_t size,
                        struct pen_error *err);
int pen_packer_add_link(struct pen_packer *self, const char *path,
                        const struct pen_entry_facts *facts, const char *target,
                        struct pen_error *err);

/* Finish, store the manifest, sync the store. ret_ref (name unset) is filled; release its
 * manifest_sha256 with free. */
int pen_packer_finish(struct pen_packer *self, Pen__ArtifactRef *ret_ref, struct pen_error *err);

/* ---- whole folders */

/* What pen_archive_pack left out: sockets, pipes and devices hold nothing that could be kept. */
struct pen_pack_skipped {
    uint64_t count;
    char first[256]; /* "'run/agent.sock', a socket"; a long path is cut */
};

/* Pack what matches one of the globs (all of it when there are none) below folder, and the folders
 * above it. Only what a glob may match, or what is below such a folder, is looked at. ret_skipped
 * may be NULL. Errors: PEN_ENOTFOUND when a glob matches nothing that can be packed, PEN_EDENIED
 * when something that matches cannot be read, PEN_ELIMIT (a path longer than
 * PEN_LIMIT_ARTIFACT_PATH_BYTES). */
int pen_archive_pack(struct pen_blob_store *store, const char *folder, char *const *globs,
                     size_t globs_count, struct pen_pack_skipped *ret_skipped,
                     Pen__ArtifactRef *ret_ref, struct pen_error *err);

struct pen_unpack_limits {
    uint64_t bytes_max;
    uint64_t entries_max;
};
extern const struct pen_unpack_limits pen_unpack_default; /* 64 GiB, 1,000,000 entries */

/* Unpack into an existing folder: regular files, folders and links, nothing else. Nothing is ever
 * written outside of it, nor through a link: links are made last. Every chunk is verified. Errors:
 * PEN_ENOTFOUND (a chunk lacks), PEN_ECORRUPT, PEN_EDENIED (an entry that would escape),
 * PEN_ELIMIT, PEN_ENOSPACE, PEN_EUNSUPPORTED (a newer format). */
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
