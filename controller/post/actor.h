/* controller/post/actor.h - a thread of the controller, with the inbox that it owns
 *
 *     start --> turn, turn, turn ... --PEN_POST_STOP--> finish --> joined by stop
 *                        |
 *                        '--error--> finish, PEN_POST_FAILED to the core, then only the inbox is
 *                                    emptied until PEN_POST_STOP, so that nobody waits for room in
 * it
 *
 * The owner embeds a pen_actor, reads its inbox in `turn` and sets `stopping` when it takes
 * PEN_POST_STOP. Nothing else of it is touched by the thread.
 */
#ifndef PEN_CONTROLLER_POST_ACTOR_H
#define PEN_CONTROLLER_POST_ACTOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "controller/post/post.h"

struct pen_actor {
    enum pen_thread who;
    const char *name; /* of the thread, at most 15 bytes */
    /* One turn: wait, then do what there is to do. An error ends the thread's work for good. */
    int (*turn)(void *context, struct pen_error *err);
    /* NULL, or what is to be done on the thread after its last turn, however that came. */
    void (*finish)(void *context);
    void *context;           /* of both */
    struct pen_inbox *core;  /* borrowed */
    struct pen_inbox *inbox; /* owned */
    bool stopping;
    bool runs;
    pthread_t thread;
};

/* Make the inbox, with room for posts_max. The other members are the owner's to fill before start.
 * Errors: PEN_ENOMEM, PEN_EIO. */
int pen_actor_open(struct pen_actor *self, size_t posts_max, struct pen_error *err);

/* Run the thread. Signals stay with the thread that the process waits for them in.
 * Errors: of pthread_create. */
int pen_actor_start(struct pen_actor *self, struct pen_error *err);

/* End the thread, if it runs, and destroy the inbox. */
void pen_actor_stop(struct pen_actor *self);

#endif
