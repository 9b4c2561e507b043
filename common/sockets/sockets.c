#include "common/sockets/sockets.h"

#include <errno.h>
#include <limits.h>
#include <zmq.h>

#include "common/base/check.h"

int pen_socket_set(struct pen_socket *self, void *handle, struct pen_error *err)
{
    int fd = -1;
    size_t size = sizeof fd;
    if (zmq_getsockopt(handle, ZMQ_FD, &fd, &size) < 0)
        return pen_fail(err, PEN_EIO, "a socket cannot be waited for: %s",
                        zmq_strerror(zmq_errno()));
    *self = (struct pen_socket){.handle = handle, .fd = fd, .readable = true, .used = true};
    return 0;
}

/* This takes the wake-ups that have come, and tells what they were about. */
static int ask(struct pen_socket *self, struct pen_error *err)
{
    int events = 0;
    size_t size = sizeof events;
    while (zmq_getsockopt(self->handle, ZMQ_EVENTS, &events, &size) < 0)
        if (zmq_errno() != EINTR)
            return pen_fail(err, PEN_EIO, "a socket cannot be asked: %s",
                            zmq_strerror(zmq_errno()));
    self->readable = (events & ZMQ_POLLIN) != 0;
    self->used = false;
    return 0;
}

int pen_sockets_wait(struct pen_socket *const *sockets, size_t sockets_count, struct pollfd *fds,
                     size_t fds_count, long timeout_ms, struct pen_error *err)
{
    struct pollfd all[PEN_SOCKETS_WAIT_MAX];
    CHECK(sockets_count + fds_count <= PEN_SOCKETS_WAIT_MAX);
    int timeout = timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    for (size_t i = 0; i < sockets_count; i++) {
        struct pen_socket *socket = sockets[i];
        int rc = socket->handle != NULL && socket->used ? ask(socket, err) : 0;
        if (rc < 0)
            return rc;
        if (socket->handle != NULL && socket->readable)
            timeout = 0;
        all[i] = (struct pollfd){.fd = socket->handle != NULL ? socket->fd : -1, .events = POLLIN};
    }
    for (size_t i = 0; i < fds_count; i++)
        all[sockets_count + i] = fds[i];
    int ready = poll(all, sockets_count + fds_count, timeout < 0 ? -1 : timeout);
    if (ready < 0 && errno != EINTR)
        return pen_fail_errno(err, "cannot wait for sockets");
    for (size_t i = 0; i < fds_count; i++)
        fds[i].revents = ready > 0 ? all[sockets_count + i].revents : 0;
    for (size_t i = 0; ready > 0 && i < sockets_count; i++) {
        int rc = all[i].revents != 0 ? ask(sockets[i], err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}
