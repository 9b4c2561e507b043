/* The agent's end of the starter's socket. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent/exec/exec_internal.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"
#include "common/io/proc.h"
#include "common/wire/wire.h"

void starter_close(struct pen_exec *self)
{
    pen_fd_close(&self->starter_fd); /* the starter ends by itself */
    if (self->starter_pidfd >= 0)
        (void)pen_proc_wait(self->starter_pid, self->starter_pidfd, 2000, &(int){0}, NULL);
    pen_fd_close(&self->starter_pidfd);
}

int starter_receive(struct pen_exec *self, bool wait, struct pen_starter_reply *ret_reply,
                    int *ret_pidfd, struct pen_error *err)
{
    struct pen_starter_reply reply;
    struct iovec part = {.iov_base = &reply, .iov_len = sizeof reply};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    ssize_t got;
    do {
        got = recvmsg(self->starter_fd, &message,
                      MSG_CMSG_CLOEXEC | MSG_WAITALL | (wait ? 0 : MSG_DONTWAIT));
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return PEN_EUNAVAILABLE;
    if (got != (ssize_t)sizeof reply)
        return pen_fail(err, PEN_EIO, "the starter of attempts has ended");
    int pidfd = -1;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item != NULL;
         item = CMSG_NXTHDR(&message, item))
        if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS)
            memcpy(&pidfd, CMSG_DATA(item), sizeof pidfd);
    *ret_reply = reply;
    *ret_pidfd = pidfd;
    return 0;
}

int starter_spawn(struct pen_exec *self, struct pen_error *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return pen_fail_errno(err, "no socket for the starter");
    PEN_CLEANUP(pen_fd_close) int theirs = ends[1];
    self->starter_fd = ends[0];
    const char *argv[] = {self->shim_path, "starter", NULL};
    struct pen_proc_spec spec = {
        .argv = argv, .stdin_fd = theirs, .stdout_fd = -1, .stderr_fd = STDERR_FILENO};
    int rc = pen_proc_spawn(&spec, &self->starter_pid, &self->starter_pidfd, err);
    struct pen_starter_reply reply = {0};
    int pidfd = -1;
    pen_fd_close(&theirs); /* so that its death is the end of the stream */
    if (rc == 0)
        rc = starter_receive(self, true, &reply, &pidfd, err);
    if (rc < 0) {
        starter_close(self);
        return rc;
    }
    self->isolation = (enum pen_shim_isolation)reply.isolation;
    self->user_namespace = reply.user_namespace != 0;
    return 0;
}

int starter_send(struct pen_exec *self, const Pen__ShimOrder *order, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    uint64_t fence = order->fence;
    uint32_t size = 0;
    pen_buf_append(&bytes, &size, sizeof size);
    pen_buf_append(&bytes, &fence, sizeof fence);
    int rc = pen_wire_pack(order, &bytes, err);
    if (rc == 0)
        rc = pen_buf_ok(&bytes, err);
    if (rc < 0)
        return rc;
    size = (uint32_t)(bytes.size - sizeof size);
    if (bytes.size - sizeof size > PEN_SHIM_ORDER_MAX)
        return pen_fail(err, PEN_ELIMIT, "the order of attempt %" PRIu64 " is too large", fence);
    memcpy(bytes.data, &size, sizeof size);
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    while (left > 0) {
        ssize_t put = send(self->starter_fd, at, left, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return pen_fail_errno(err, "the starter takes no order");
        at += put;
        left -= (size_t)put;
    }
    return 0;
}
