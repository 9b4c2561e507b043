#include "common/io/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"

/* The eventfd's count is 1 while posts wait and 0 while none do; it changes under the mutex, with
 * the count of posts, so that the two never disagree. */
struct pen_inbox {
    pthread_mutex_t mutex;
    pthread_cond_t room;
    int wake_fd;
    size_t posts_max;
    size_t first;
    size_t count;
    struct pen_post posts[]; /* a ring */
};

int pen_inbox_create(size_t posts_max, struct pen_inbox **ret_inbox, struct pen_error *err)
{
    CHECK(posts_max > 0);
    CHECK(posts_max < SIZE_MAX / sizeof(struct pen_post) - sizeof(struct pen_inbox));
    struct pen_inbox *self = calloc(1, sizeof *self + posts_max * sizeof self->posts[0]);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an inbox of %zu posts", posts_max);
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd < 0) {
        free(self);
        return pen_fail_errno(err, "no event descriptor for an inbox");
    }
    CHECK(pthread_mutex_init(&self->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&self->room, NULL) == 0);
    self->posts_max = posts_max;
    *ret_inbox = self;
    return 0;
}

void pen_inbox_destroy(struct pen_inbox **self_p)
{
    struct pen_inbox *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->count; i++)
        pen_post_release(&self->posts[(self->first + i) % self->posts_max]);
    CHECK(pthread_cond_destroy(&self->room) == 0);
    CHECK(pthread_mutex_destroy(&self->mutex) == 0);
    pen_fd_close(&self->wake_fd);
    free(self);
}

/* With the mutex held and room for one. */
static void put(struct pen_inbox *self, const struct pen_post *post)
{
    self->posts[(self->first + self->count) % self->posts_max] = *post;
    self->count++;
    if (self->count == 1) {
        uint64_t one = 1;
        CHECK(write(self->wake_fd, &one, sizeof one) == (ssize_t)sizeof one);
    }
}

static int post_one(struct pen_inbox *self, const struct pen_post *post, bool wait,
                    struct pen_error *err)
{
    CHECK(pthread_mutex_lock(&self->mutex) == 0);
    while (wait && self->count == self->posts_max)
        CHECK(pthread_cond_wait(&self->room, &self->mutex) == 0);
    bool full = self->count == self->posts_max;
    if (!full)
        put(self, post);
    CHECK(pthread_mutex_unlock(&self->mutex) == 0);
    if (full)
        return pen_fail(err, PEN_ELIMIT, "busy: %zu requests are waiting; try again later",
                        self->posts_max);
    return 0;
}

int pen_inbox_post(struct pen_inbox *self, const struct pen_post *post, struct pen_error *err)
{
    return post_one(self, post, false, err);
}

int pen_inbox_post_wait(struct pen_inbox *self, const struct pen_post *post, struct pen_error *err)
{
    return post_one(self, post, true, err);
}

size_t pen_inbox_take(struct pen_inbox *self, struct pen_post *posts, size_t posts_max)
{
    CHECK(pthread_mutex_lock(&self->mutex) == 0);
    bool was_full = self->count == self->posts_max;
    size_t taken = 0;
    while (taken < posts_max && self->count > 0) {
        posts[taken++] = self->posts[self->first];
        self->first = (self->first + 1) % self->posts_max;
        self->count--;
    }
    if (taken > 0 && self->count == 0) {
        uint64_t count = 0;
        CHECK(read(self->wake_fd, &count, sizeof count) == (ssize_t)sizeof count);
    }
    if (was_full && taken > 0)
        CHECK(pthread_cond_broadcast(&self->room) == 0);
    CHECK(pthread_mutex_unlock(&self->mutex) == 0);
    return taken;
}

int pen_inbox_fd(const struct pen_inbox *self)
{
    return self->wake_fd;
}

void pen_post_release(struct pen_post *post)
{
    if (post->destroy != NULL && post->body != NULL)
        post->destroy(post->body);
    *post = (struct pen_post){0};
}
