#include "controller/post/actor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "common/base/check.h"

int pen_actor_open(struct pen_actor *self, size_t posts_max, struct pen_error *err)
{
    return pen_inbox_create(posts_max, &self->inbox, err);
}

static void post_failed(struct pen_actor *self, const struct pen_error *err)
{
    struct pen_error *copy = malloc(sizeof *copy);
    CHECK(copy != NULL); /* a thread that cannot go on must not end in silence */
    *copy = *err;
    struct pen_post post = {
        .kind = PEN_POST_FAILED, .number = self->who, .body = copy, .destroy = free};
    CHECK(pen_inbox_post_wait(self->core, &post, NULL) == 0);
}

/* Nothing works any more and the process is about to end: let nobody wait for room in the inbox. */
static void drain_until_stop(struct pen_actor *self)
{
    while (!self->stopping) {
        struct pollfd source = {.fd = pen_inbox_fd(self->inbox), .events = POLLIN};
        (void)poll(&source, 1, -1);
        struct pen_post post;
        while (pen_inbox_take(self->inbox, &post, 1) == 1) {
            self->stopping |= post.kind == PEN_POST_STOP;
            pen_post_release(&post);
        }
    }
}

static void *run(void *context)
{
    struct pen_actor *self = context;
    struct pen_error err;
    int rc = 0;
    while (rc == 0 && !self->stopping)
        rc = self->turn(self->context, &err);
    if (self->finish != NULL)
        self->finish(self->context);
    if (rc < 0) {
        post_failed(self, &err);
        drain_until_stop(self);
    }
    return NULL;
}

int pen_actor_start(struct pen_actor *self, struct pen_error *err)
{
    sigset_t all;
    sigset_t before;
    CHECK(sigfillset(&all) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int number = pthread_create(&self->thread, NULL, run, self);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (number != 0) {
        errno = number;
        return pen_fail_errno(err, "cannot start the thread '%s'", self->name);
    }
    self->runs = true;
    (void)pthread_setname_np(self->thread, self->name);
    return 0;
}

void pen_actor_stop(struct pen_actor *self)
{
    if (self->runs) {
        const struct pen_post stop = {.kind = PEN_POST_STOP};
        CHECK(pen_inbox_post_wait(self->inbox, &stop, NULL) == 0);
        CHECK(pthread_join(self->thread, NULL) == 0);
        self->runs = false;
    }
    pen_inbox_destroy(&self->inbox);
}
