/* common/sockets/sockets.h - sleep until a ZeroMQ socket or a descriptor has something
 *
 * zmq_poll() asks each socket twice around its sleep, and a receive that finds nothing asks again:
 * each question is a system call or two, and a thread with four sockets spends more of them on
 * asking than on work. Here a socket is asked only when its descriptor became readable, or when it
 * was used since: a send or a receive may have taken the wake-up away (ZMQ_FD tells of edges).
 *
 *     pen_sockets_wait(sockets, count, fds, fds_count, timeout_ms, err);
 *     while (socket.readable && receive(socket.handle) without waiting) pen_socket_used(&socket);
 *     nothing found: pen_socket_empty(&socket);
 */
#ifndef PEN_COMMON_SOCKETS_SOCKETS_H
#define PEN_COMMON_SOCKETS_SOCKETS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"

enum { PEN_SOCKETS_WAIT_MAX = 16 }; /* sockets and descriptors in one wait */

struct pen_socket {
    void *handle;  /* a ZeroMQ socket, borrowed; NULL: nothing to wait for */
    int fd;        /* its ZMQ_FD */
    bool readable; /* a receive may find something */
    bool used;     /* since it was asked last */
};

/* Watch this socket; it counts as readable until a receive finds nothing. Errors: PEN_EIO. */
int pen_socket_set(struct pen_socket *self, void *handle, struct pen_error *err);

/* To be called after each send, and after each receive that found something. */
static inline void pen_socket_used(struct pen_socket *self)
{
    self->used = true;
}

/* To be called when a receive without waiting has found nothing (EAGAIN): libzmq has looked at all
 * that had come, so that the descriptor tells of whatever comes next. */
static inline void pen_socket_empty(struct pen_socket *self)
{
    self->readable = self->used = false;
}

/* Sleep until a socket is readable, a descriptor has an event that it asks for (in its revents), or
 * until timeout_ms (-1: for ever). Returns at once when a socket is readable already. A signal ends
 * the sleep early. Errors: PEN_EIO. */
int pen_sockets_wait(struct pen_socket *const *sockets, size_t sockets_count, struct pollfd *fds,
                     size_t fds_count, long timeout_ms, struct pen_error *err);

#endif
