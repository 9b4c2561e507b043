/* controller/artifacts/layout.h - where things live below the data folder
 *
 *     DIR/penstock.db          rows and facts (controller/store)
 *     DIR/endpoints.json       what is bound, there while it serves
 *     DIR/admin.credentials    the first administrator's key (0600)
 *     DIR/keys/                curve.key, seal.key (0600)
 *     DIR/blobs/               chunks and manifests
 *     DIR/logs/NNN/FENCE.log   the log of one attempt
 *     DIR/mirrors/             bare mirrors that sources fetch into
 *     DIR/repos/NAME.git       hosted repositories
 *     DIR/pushes/NAME          a push has happened: written by post-receive hooks
 */
#ifndef PEN_CONTROLLER_ARTIFACTS_LAYOUT_H
#define PEN_CONTROLLER_ARTIFACTS_LAYOUT_H

#include <stdint.h>

#include "common/base/buf.h"

/* Append the path. NNN is fence / 1,000, so that no folder grows without bound. */
void pen_layout_log(const char *dir, uint64_t fence, struct pen_buf *ret_path);
void pen_layout_log_folder(const char *dir, uint64_t fence, struct pen_buf *ret_path);

/* DIR/NAME for the fixed names above: pen_layout_path(dir, "blobs", &path). */
void pen_layout_path(const char *dir, const char *name, struct pen_buf *ret_path);

/* DIR/repos/NAME.git */
void pen_layout_repository(const char *dir, const char *name, struct pen_buf *ret_path);

#endif
