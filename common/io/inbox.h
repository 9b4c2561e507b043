/* common/io/inbox.h - how threads talk: a bounded queue of messages with a wake-up
 *
 * Any thread may post; one thread takes. The file descriptor becomes readable when something is
 * there, so a poll loop can wait on it. This is the only mutex of the project.
 */
#ifndef PEN_COMMON_IO_INBOX_H
#define PEN_COMMON_IO_INBOX_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct pen_inbox;

/* One message. The receiver owns `body` and frees it with `destroy(body)`; both may be NULL. */
struct pen_post {
    int kind;        /* meaning agreed between the two threads */
    uint64_t number; /* free for use: correlation, fence... */
    void *body;
    void (*destroy)(void *body);
};

/* posts_max: at most this many waiting posts. Errors: PEN_ENOMEM, PEN_EIO. */
int pen_inbox_create(size_t posts_max, struct pen_inbox **ret_inbox, struct pen_error *err);

/* Destroys waiting posts, too. */
void pen_inbox_destroy(struct pen_inbox **self_p);

/* Post a message; the inbox owns its body only on success. Errors: PEN_ELIMIT (full: the poster
 * has to answer "try again later"). Callable from any thread. */
int pen_inbox_post(struct pen_inbox *self, const struct pen_post *post, struct pen_error *err);

/* As pen_inbox_post, but waits until there is room. Only for threads that nobody waits for. */
int pen_inbox_post_wait(struct pen_inbox *self, const struct pen_post *post, struct pen_error *err);

/* Take up to posts_max messages without waiting; returns how many. */
size_t pen_inbox_take(struct pen_inbox *self, struct pen_post *posts, size_t posts_max);

/* Readable while messages wait (an eventfd; the inbox resets it). */
int pen_inbox_fd(const struct pen_inbox *self);

/* Free one taken message. */
void pen_post_release(struct pen_post *post);

#endif
