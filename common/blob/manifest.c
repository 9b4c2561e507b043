#include "common/base/cleanup.h"
#include "common/blob/archive.h"
#include "common/wire/wire.h"

static int manifest_check(const Pen__Manifest *manifest, struct pen_error *err)
{
    if (manifest->format != 1 && manifest->format != 2)
        return pen_fail(err, PEN_EUNSUPPORTED,
                        "a manifest of format %u: only 1 and 2 are known; a newer Penstock made it",
                        manifest->format);
    if (manifest->format == 1 && manifest->sha256.len != PEN_SHA256_SIZE)
        return pen_fail(err, PEN_ECORRUPT, "manifest: sha256 has %zu bytes", manifest->sha256.len);
    uint64_t size = 0;
    bool entries_end = manifest->entries_size == 0;
    for (size_t i = 0; i < manifest->n_chunks; i++) {
        const Pen__ManifestChunk *chunk = manifest->chunks[i];
        if (chunk->sha256.len != PEN_SHA256_SIZE)
            return pen_fail(err, PEN_ECORRUPT, "manifest: chunks[%zu].sha256 has %zu bytes", i,
                            chunk->sha256.len);
        if (chunk->size == 0 || chunk->size > PEN_CHUNK_MAX)
            return pen_fail(err, PEN_ECORRUPT, "manifest: chunks[%zu].size is %u, not 1 to %d", i,
                            chunk->size, PEN_CHUNK_MAX);
        size += chunk->size;
        entries_end = entries_end || size == manifest->entries_size;
    }
    if (!entries_end)
        return pen_fail(err, PEN_ECORRUPT, "manifest: no chunk ends where the entries end");
    if (size != manifest->size)
        return pen_fail(err, PEN_ECORRUPT, "manifest: the chunks have not the size it says");
    return 0;
}

int pen_manifest_get(const struct pen_blob_store *store,
                     const uint8_t manifest_sha256[PEN_SHA256_SIZE], Pen__Manifest **ret_manifest,
                     struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    int rc = pen_blob_get(store, manifest_sha256, PEN_MANIFEST_MAX, &bytes, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_message_destroy) Pen__Manifest *manifest = NULL;
    rc = pen_wire_unpack(&pen__manifest__descriptor, bytes.data, bytes.size, &pen_wire_stored,
                         (ProtobufCMessage **)&manifest, err);
    if (rc == PEN_EINVAL)
        return pen_fail(err, PEN_ECORRUPT, "the blob is no manifest");
    if (rc < 0 || (rc = manifest_check(manifest, err)) < 0)
        return rc;
    *ret_manifest = TAKE_PTR(manifest);
    return 0;
}
