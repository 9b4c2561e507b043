/* controller/app/purge.h - removed history leaves the store, a few rows for each turn of the core
 *
 * HistoryPurge effects wait here, in order. Whatever is left when the process ends is said again by
 * the engine's plan.
 */
#ifndef PEN_CONTROLLER_APP_PURGE_H
#define PEN_CONTROLLER_APP_PURGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "controller/engine/engine.h"
#include "controller/store/store.h"

struct pen_purge;

int pen_purge_create(struct pen_purge **ret_purge, struct pen_error *err);
void pen_purge_destroy(struct pen_purge **self_p);

/* Take the HistoryPurge effects out of `out`: their places are NULL then. One that is waiting
 * already is dropped. Errors: PEN_ENOMEM. */
int pen_purge_take(struct pen_purge *self, struct pen_engine_out *out, struct pen_error *err);

/* Whether there is something to do now. */
bool pen_purge_due(const struct pen_purge *self);

/* One commit of the store. ret_gone: what to tell the engine when the first one is finished, to be
 * freed; else NULL. Errors: as of pen_store_purge; PEN_ENOSPACE leaves all as it was. */
int pen_purge_slice(struct pen_purge *self, struct pen_store *store, Pen__Input **ret_gone,
                    struct pen_error *err);

#endif
