/* controller/sources/sources.h - git: watch branches, fetch exact commits, make source artifacts
 *
 * A thread of its own that never answers anybody. Fetching is done by a `git` child that can be
 * killed, into a bare mirror for each repository; reading is libgit2's. Takes SourceRun,
 * SourceCancel, SourceWatch, SourceUnwatch, RepositoryMake, RepositoryDrop, ConnectionLoaded and
 * ConnectionDropped effects; posts RevisionFound and SourceDone inputs.
 */
#ifndef PEN_CONTROLLER_SOURCES_SOURCES_H
#define PEN_CONTROLLER_SOURCES_SOURCES_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/io/inbox.h"
#include "common/keys/seal.h"

struct pen_sources;

struct pen_sources_options {
    const char *dir;                 /* the controller's data folder */
    int64_t poll_interval_ms;        /* 60,000 */
    int64_t fetch_timeout_ms;        /* 600,000: then the child is killed */
    const struct pen_sealer *sealer; /* borrowed: opens the secrets of connections */
    struct pen_inbox *core;          /* borrowed */
};

int pen_sources_start(const struct pen_sources_options *options, struct pen_sources **ret_sources,
                      struct pen_error *err);
struct pen_inbox *pen_sources_inbox(struct pen_sources *self);
void pen_sources_stop(struct pen_sources **self_p);

#endif
