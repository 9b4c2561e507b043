/* controller/app/core.h - the core turn: take inputs, step, commit, then perform
 *
 *      inbox --> engine_step* --> store_commit --> effects to dispatch, data, http, sources
 *                    ^                |
 *                    |                +-- disk full: keep the batch, refuse new requests by name,
 *                    +-- tick         |   try again each second; nothing was visible yet
 *                                     +-- any other failure: the process ends, the store is the
 * truth
 *
 * Runs on the thread that calls pen_core_run. Everything it needs is handed to it; it starts
 * nothing.
 */
#ifndef PEN_CONTROLLER_APP_CORE_H
#define PEN_CONTROLLER_APP_CORE_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/io/inbox.h"
#include "controller/engine/engine.h"
#include "controller/store/store.h"

struct pen_core;

/* All borrowed, and needed until pen_core_destroy. */
struct pen_core_options {
    const char *dir; /* the data folder: its free space is watched */
    struct pen_engine *engine;
    struct pen_store *store;
    struct pen_inbox *inbox;
    struct pen_inbox *dispatch;
    struct pen_inbox *data;
    struct pen_inbox *http;
    struct pen_inbox *sources;
    struct pen_inbox *retention;
    uint64_t reserve_bytes; /* below this much free space, new requests are refused */
};

int pen_core_create(const struct pen_core_options *options, struct pen_core **ret_core,
                    struct pen_error *err);
void pen_core_destroy(struct pen_core **self_p);

/* Commit and perform what the loaded state asks for. Call once, before run. */
int pen_core_plan(struct pen_core *self, struct pen_error *err);

/* Step one input from the program itself (the first administrator's key), commit and perform. */
int pen_core_submit(struct pen_core *self, const Pen__Input *input, struct pen_error *err);

/* Turn until stop_fd becomes readable (then 0), or an error after which the process has to end. */
int pen_core_run(struct pen_core *self, int stop_fd, struct pen_error *err);

#endif
